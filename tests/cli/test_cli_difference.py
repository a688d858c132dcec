"""`launch job diff` as people read it: each kind of change in one line, and lines of text only while they are few."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch_jobs.capture.code import snapshot_code
from launch_jobs.job import Dataset, Distribution, Entrypoint, Environment, Inputs, Job
from launch_jobs.store.jobs import open_store

if TYPE_CHECKING:
    from conftest import Launch


def _version(home: Path, folder: Path, number: int, script: str) -> None:
    (folder / "train.py").write_text(script)
    store = open_store((home / "store").as_uri())
    kind = ["number", "integer"][number]
    schema = {"type": "object", "properties": {"lr": {"type": kind}}, "additionalProperties": False}
    with snapshot_code(folder, store) as snapshot:
        job = Job(
            source=snapshot.source,
            entrypoint=Entrypoint(argv=("python", "train.py")),
            environment=Environment(distributions=(Distribution(name="numpy", version=f"2.{number}"),)),
            inputs=Inputs.model_validate({"parameters_schema": schema}),
            datasets=(Dataset(name="data", url="file:data", digest=f"sha256:{number}{'0' * 63}"),),
        )
        store.add("train", job, snapshot.origin)


@pytest.mark.parametrize(("count", "shown"), [(5, True), (500, False)])
def test_each_change_is_a_readable_line(launch: Launch, home: Path, folder: Path, count: int, shown: bool) -> None:
    """Parameters, packages, data and files, with + - ~; many lines are shown on demand."""
    _version(home, folder, 0, "print(0)\n")
    _version(home, folder, 1, "print(1)\n" * count)
    lines = launch("job", "diff", "train:v0", "train:v1").stdout.splitlines()

    assert "~ numpy 2.0 → 2.1" in lines
    assert "~ lr type number → integer" in lines
    assert "~ data file:data sha256:000000000000 → file:data sha256:100000000000" in lines
    assert any(line.startswith("~ train.py (9 B, ") and line.endswith(f") +{count} -1") for line in lines)
    assert ("    +print(1)" in lines, "Many lines changed: --lines shows them" in lines) == (shown, not shown)
    every = launch("job", "diff", "--lines", "train:v0", "train:v1").stdout.splitlines()
    assert every.count("    +print(1)") == count
