"""`launch_jobs.track` in a real Jupyter kernel: the saved notebook becomes a job, or one line says why not."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from launch_jobs.capture.notebook import CodeCell
from launch_jobs.capture.notebook_live import unsaved_cell
from launch_jobs.errors import NotFound
from launch_jobs.job import CaptureRecord, JobVersion
from launch_jobs.names import JobRef
from launch_jobs.settings import load_settings
from launch_jobs.store.jobs import open_store

IMPORTS = "%matplotlib --list\nimport launch_jobs, beside, numpy\nrate = 0.5"
TRACKED = """
with launch_jobs.track("mine", parameters={"lr": rate}) as run:
    print("program", run.parameters, beside.VALUE)
    fail
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module, and homes of the test's own for us and for IPython."""
    for name, place in {"LAUNCH_JOBS_HOME": "home", "IPYTHONDIR": "ipython", "JUPYTER_RUNTIME_DIR": "jupyter"}.items():
        monkeypatch.setenv(name, str(tmp_path / place))
    for name in ("LAUNCH_TRACK", "LAUNCH_RUN_ID", "PYTHONPATH"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "beside.py").write_text("VALUE = 7\n")
    return tmp_path / "project"


def document(cells: tuple[str, ...]) -> dict[str, Any]:
    """A notebook of these cells, as its file has it."""
    empty: dict[str, Any] = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [{**empty, "source": text} for text in cells]}


def run(folder: Path, *cells: str, saved: tuple[str, ...] | None = None, session: str = "train.ipynb") -> str:
    """Run cells in a kernel started for a saved notebook; all that they wrote."""
    (folder / "train.ipynb").write_text(json.dumps(document(saved or cells)))
    shown = cast("Any", nbformat).from_dict(document(cells))
    client = NotebookClient(shown, timeout=60, resources={"metadata": {"path": str(folder)}})
    with suppress(CellExecutionError):
        client.execute(env={**os.environ, "JPY_SESSION_NAME": session})
    return "".join(output.get("text", "") for cell in shown.cells for output in cell.outputs)


def captured() -> tuple[JobVersion, CaptureRecord]:
    """The job and its one record."""
    store = open_store(load_settings().store_url)
    version = store.resolve(JobRef.parse("mine"))
    (record,) = store.records(version)
    return version, record


@pytest.mark.parametrize(("end", "code"), [("pass", 0), ("1 / 0", 1)])
def test_saved_notebook_becomes_a_job(end: str, code: int, folder: Path) -> None:
    """Script, parameters, end and environment are captured; the kernel's own packages are no part of it."""
    said = run(folder, IMPORTS, TRACKED.replace("fail", end))
    version, record = captured()

    assert "program {'lr': 0.5} 7" in said
    assert "Captured mine:v0" in said
    assert version.job.entrypoint.argv == ("python", "train.ipynb.py")
    assert (record.parameters, record.exit_code, record.verified) == ({"lr": 0.5}, code, True)
    packages = {one.name for one in version.job.environment.distributions}
    assert "numpy" in packages
    assert not {"ipykernel", "jedi", "tornado", "debugpy"} & packages
    assert version.job.environment.python == ".".join(map(str, sys.version_info[:3]))


def test_unsaved_changes_are_not_captured(folder: Path) -> None:
    """The run is the user's and goes on; the job would be of other code."""
    tracked = TRACKED.replace("fail", "pass")
    said = run(folder, IMPORTS.replace("0.5", "0.7"), tracked, saved=(IMPORTS, tracked))

    assert "program {'lr': 0.7} 7" in said
    assert "unsaved changes" in said
    assert "Save the notebook" in said
    with pytest.raises(NotFound):
        captured()


def test_shell_magics_and_unknown_notebooks_are_said(folder: Path) -> None:
    """One line each, beside the program's own output."""
    tracked = TRACKED.replace("fail", "pass")
    assert "cell 2, line 1: !true" in run(folder, IMPORTS, "!true", tracked)
    said = run(folder, IMPORTS, tracked, session="console")
    assert "program" in said
    assert "add notebook='NAME.ipynb' to track" in said
    named = tracked.replace('"mine"', '"mine", notebook="train.ipynb"')
    assert "Captured mine:v0" in run(folder, IMPORTS, named, session="console")


A, B, C, D = "import numpy as np", "rate = 0.5", "train(rate)", "plot()"


@pytest.mark.parametrize(
    ("executed", "unsaved"),
    [
        ([A, B, C], None),
        ([f" {A}\n", B, C], None),
        ([A, "rate = 0.6", B, C], None),
        (["import numpy", A, B, C], None),
        ([B, A, C], None),
        ([C], None),
        ([A, B, "rate = 0.6", C], "rate = 0.6"),
        ([A, "rate = 0.6", C], "rate = 0.6"),
        ([A, B, "train(rate * 2)"], "train(rate * 2)"),
        ([A, "help(len)", B, C], "help(len)"),
        ([], ""),
    ],
)
def test_what_is_unsaved(executed: list[str], unsaved: str | None) -> None:
    """Older states of a cell do not count, once the cell has run as it is saved."""
    cells = [CodeCell(number, text) for number, text in enumerate((A, B, C, D), 1)]
    assert unsaved_cell(cells, executed) == unsaved
