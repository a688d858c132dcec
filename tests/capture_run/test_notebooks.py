"""Notebooks become jobs: their cells as a script, without outputs; magics, kernels and formats as B33 says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import nbformat
import pytest

from launch_jobs.capture.notebook_script import script_of
from launch_jobs.capture.source import checkout
from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.capture.tree import scan_tree
from launch_jobs.capture.untracked import capture_code, capture_folder, capture_git
from launch_jobs.errors import BadInput, LaunchError, Refused
from launch_jobs.job import JobVersion
from launch_jobs.store.jobs import JobStore

TOKEN = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
PARAMETERS = "lr = 0.1\nepochs = 3\nname = 'plain'"
TRAIN = "import beside, json\njson.dump([lr, epochs, name, beside.VALUE], open('out.json', 'w'))"


def write(file: Path, *cells: str, outputs: str = "", counts: list[int | None] | None = None, kernel: str = "") -> Path:
    """Write a notebook as Jupyter does: the cell of the parameters has its tag, and each cell an output."""
    made = [
        {
            "cell_type": "code",
            "id": f"cell-{number}",
            "source": text,
            "metadata": {"tags": ["parameters"] if text == PARAMETERS else []},
            "execution_count": counts[number - 1] if counts else number,
            "outputs": [{"output_type": "stream", "name": "stdout", "text": outputs}] if outputs else [],
        }
        for number, text in enumerate(cells, 1)
    ]
    about = {"kernelspec": {"name": kernel, "language": kernel, "display_name": kernel}} if kernel else {}
    plain = {"nbformat": 4, "nbformat_minor": 5, "metadata": about, "cells": made}
    document = cast("Any", nbformat).from_dict(plain)
    nbformat.write(document, file)  # pyright: ignore[reportUnknownMemberType]  nbformat has no types
    return file


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a module that the notebook imports, and a home of the test's own."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "beside.py").write_text("VALUE = 7\n")
    return tmp_path / "project"


@pytest.fixture
def run(store: JobStore, folder: Path) -> Callable[..., TrackedRun]:
    """Runs a command in the folder, tracked."""
    return lambda *command, **allowed: run_tracked(command, store=store, directory=folder, **allowed)


def tree(version: JobVersion, store: JobStore, into: Path) -> dict[str, str]:
    """The text of each file of a job's source."""
    checkout(version, store, into)
    return {entry.path: (into / entry.path).read_text() for entry in scan_tree(into)}


def git(folder: Path, *arguments: str) -> None:
    """Run git."""
    subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True)


def commit(folder: Path) -> None:
    """Make a repository of a folder."""
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "all")


@pytest.mark.parametrize("repository", [False, True])
def test_notebook_becomes_a_job_and_stays_as_it_is(
    repository: bool, run: Callable[..., TrackedRun], store: JobStore, folder: Path, tmp_path: Path
) -> None:
    """Its script ran beside it, is the entrypoint, and is in the tree with the notebook without outputs."""
    file = write(folder / "train.ipynb", PARAMETERS, TRAIN, outputs=TOKEN)
    if repository:
        commit(folder)
    before = file.read_bytes()
    ended = run("train.ipynb")

    assert ended.version, ended.problem
    assert ended.record
    files = tree(ended.version, store, tmp_path / "tree")
    assert set(files) == {"beside.py", "train.ipynb", "train.ipynb.py"}
    assert TOKEN not in str(files)
    assert "json.dump" in files["train.ipynb"]
    assert (ended.version.name, ended.version.job.entrypoint.argv) == ("train", ("python", "train.ipynb.py"))
    assert json.loads((folder / "out.json").read_text()) == [0.1, 3, "plain", 7]
    assert (file.read_bytes(), sorted(path.name for path in folder.glob("train*"))) == (before, ["train.ipynb"])
    assert (ended.exit_code, ended.record.verified, ended.record.argv) == (0, True, ("train.ipynb",))
    assert any("differs from the working copy by this only" in note for note in ended.version.origin.notes)


def test_parameters_cell_is_the_schema_and_a_launch_sets_its_values(
    run: Callable[..., TrackedRun], store: JobStore, folder: Path, tmp_path: Path
) -> None:
    """The captured script takes LAUNCH_PARAMETERS in the place of what the cell says; a float stays one."""
    write(folder / "train.ipynb", PARAMETERS, TRAIN)
    ended = run("train.ipynb")
    assert ended.version, ended.problem
    assert ended.record
    assert ended.record.parameters == {"lr": 0.1, "epochs": 3, "name": "plain"}
    properties = cast("dict[str, dict[str, str]]", ended.version.job.inputs.parameters_schema["properties"])
    assert {name: one["type"] for name, one in properties.items()} == {
        "lr": "number",
        "epochs": "integer",
        "name": "string",
    }

    checkout(ended.version, store, tmp_path / "tree")
    launched = {"LAUNCH_PARAMETERS": json.dumps({"lr": 1, "name": "new"})}
    subprocess.run([sys.executable, "train.ipynb.py"], cwd=tmp_path / "tree", env=launched, check=True)
    assert (tmp_path / "tree" / "out.json").read_text() == '[1.0, 3, "new", 7]'


def test_a_run_in_a_subfolder_is_where_the_notebook_is(run: Callable[..., TrackedRun], folder: Path) -> None:
    """As in Jupyter: paths and modules are relative to the notebook's own folder."""
    (folder / "sub").mkdir()
    (folder / "sub" / "near.py").write_text("")
    write(folder / "sub" / "train.ipynb", "import near\nopen('here', 'w').close()")
    ended = run("sub/train.ipynb")

    assert ended.version, ended.problem
    assert (folder / "sub" / "here").exists()
    assert ended.version.job.entrypoint.directory == "sub"


def test_same_code_is_the_same_version_whatever_it_printed(store: JobStore, folder: Path) -> None:
    """Outputs, counts and timings of a notebook are no part of its job."""
    write(folder / "train.ipynb", PARAMETERS, "print(1)", outputs="1")
    first = capture_folder(folder, ["train.ipynb"], store=store)
    write(folder / "train.ipynb", PARAMETERS, "print(1)", outputs="other", counts=[7, 9])
    second = capture_folder(folder, ["train.ipynb"], store=store)

    assert (first.version, second.version) == (0, 0)
    assert "lr" in cast("dict[str, object]", first.job.inputs.parameters_schema["properties"])


def test_fat_outputs_pass_the_limits(store: JobStore, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Limits count the notebook without outputs, and the store never sees the fat one."""
    monkeypatch.setenv("LAUNCH_JOBS_SOURCE_LIMIT_BYTES", "1000000")
    write(folder / "train.ipynb", "print(1)")
    commit(folder)
    write(folder / "train.ipynb", "print(1)", outputs="x" * 3_000_000)
    code = capture_code(folder, ["train.ipynb"], store=store)
    repository = capture_git(folder, ["train.ipynb"], store=store, name="git")

    assert code.job.entrypoint == repository.job.entrypoint
    kept = sum(file.stat().st_size for file in (folder.parent / "store").rglob("*") if file.is_file())
    assert kept < 300_000


@pytest.mark.parametrize("magic", ["!pip install x", "%cd /tmp", "%%bash\nls", "%pip install x", "%env A=1", "a = !ls"])
def test_shell_magics_are_refused_with_cell_and_line(magic: str, run: Callable[..., TrackedRun], folder: Path) -> None:
    """Before anything ran; the message says where, and what to do."""
    write(folder / "train.ipynb", "open('ran', 'w').close()", f"\n{magic}")
    with pytest.raises(Refused, match=r"cell 2, line 2: .*--allow-notebook-magics"):
        run("train.ipynb")
    assert not (folder / "ran").exists()


def test_harmless_magics_are_left_out_or_unwrapped(run: Callable[..., TrackedRun], folder: Path) -> None:
    """What only times, shows or looks does not keep a notebook from being a program."""
    cells = [
        "%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n%config InlineBackend.figure_format = 'svg'\nopen?",
        "%%time\nx = 1",
        "%time y = x + 1\nfor i in [1]:\n    %time z = y + i",
        "text = '''\n!not a magic\n%cd\n'''\nvalue = (5\n  %3)",
        "%%html\n<b>bold</b>",
        "display(x)\nopen('out.txt', 'w').write(f'{x} {y} {z} {value} {len(text)}')",
    ]
    write(folder / "train.ipynb", *cells)
    ended = run("train.ipynb")

    assert (ended.exit_code, ended.problem) == (0, None)
    assert (folder / "out.txt").read_text() == "1 2 3 2 18"


def test_allowed_magics_run_under_ipython(run: Callable[..., TrackedRun], folder: Path) -> None:
    """Their cells share the names of the others, and the job says so and has IPython in its environment."""
    write(folder / "train.ipynb", "word = 'hello'", "found = !echo {word}", "%%bash\ntouch made", "open(found[0], 'w')")
    ended = run("train.ipynb", notebook_magics=True)

    assert ended.version, ended.problem
    assert (ended.exit_code, (folder / "hello").exists(), (folder / "made").exists()) == (0, True, True)
    assert "ipython" in {one.name for one in ended.version.job.environment.distributions}
    assert any("Cells 2, 3 run under IPython" in note for note in ended.version.origin.notes)


def test_a_failing_magic_cell_ends_the_run(run: Callable[..., TrackedRun], folder: Path) -> None:
    """Under IPython an exception is not swallowed."""
    write(folder / "train.ipynb", "%env A=1\n1 / 0", "open('later', 'w')")
    ended = run("train.ipynb", notebook_magics=True)

    assert (ended.exit_code, (folder / "later").exists()) == (1, False)


@pytest.mark.parametrize(
    ("counts", "said"),
    [([1, 2], None), ([2, 1], "2, 1"), ([1, 5], "1, 5"), ([1, None], "1, never"), ([None, None], None)],
)
def test_another_order_is_noted(counts: list[int | None], said: str | None, store: JobStore, folder: Path) -> None:
    """Cells run in the order of the file; the job says so where the notebook's own run was another."""
    write(folder / "train.ipynb", "a = 1", "b = 2", counts=counts)
    notes = capture_folder(folder, ["train.ipynb"], store=store).origin.notes

    assert [note for note in notes if "order of the file" in note] == (
        [f"Cells run in the order of the file, not in that in which they ran in the notebook ({said})."] if said else []
    )


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "broken JSON"),
        ("[]", "JSON of something else"),
        ('{"nbformat": 3, "worksheets": []}', "format 3"),
        ('{"cells": []}', "nbformat"),
        ('{"nbformat": 4, "cells": [{"cell_type": "code", "source": 5}]}', "cells.0.source"),
        ('{"nbformat": 4, "cells": []}', "no code"),
        ("\udcff", "broken JSON"),
    ],
)
def test_what_is_no_notebook_is_refused(content: str, said: str, store: JobStore, folder: Path) -> None:
    """A readable reason, never a traceback."""
    (folder / "train.ipynb").write_text(content, errors="surrogateescape")
    with pytest.raises(BadInput, match=said):
        capture_folder(folder, ["train.ipynb"], store=store)


def test_other_kernels_and_awaits_are_refused(store: JobStore, folder: Path) -> None:
    """R is no Python; and a script cannot await."""
    write(folder / "r.ipynb", "x <- 1", kernel="R")
    with pytest.raises(BadInput, match="not Python but 'r'"):
        capture_folder(folder, ["r.ipynb"], store=store)
    write(folder / "wait.ipynb", "import asyncio\nawait asyncio.sleep(0)")
    with pytest.raises(BadInput, match=r"awaits .*asyncio\.run"):
        capture_folder(folder, ["wait.ipynb"], store=store)


def test_commands_that_cannot_be_say_the_right_one(store: JobStore, folder: Path) -> None:
    """Python reads no notebook, and the script's name must be free."""
    write(folder / "train.ipynb", "a = 1")
    with pytest.raises(BadInput, match=r"launch run -- train\.ipynb --x"):
        capture_folder(folder, ["python", "train.ipynb", "--x"], store=store)
    (folder / "train.ipynb.py").touch()
    with pytest.raises(BadInput, match="is there already"):
        capture_folder(folder, ["train.ipynb"], store=store)


def test_a_secret_in_code_is_found(store: JobStore, folder: Path) -> None:
    """The cells are judged as any source is."""
    write(folder / "train.ipynb", f"token = {TOKEN!r}")
    with pytest.raises(Refused, match=r"train\.ipynb\.py:\d+ "):
        capture_folder(folder, ["train.ipynb"], store=store)


def test_a_future_import_stays_first(folder: Path) -> None:
    """What must stand first in a program does, though the script begins with lines of ours."""
    from launch_jobs.capture.notebook import CodeCell

    cells = [CodeCell(1, "import os"), CodeCell(2, "from __future__ import annotations\ndef f(x: Nowhere): ...")]
    compile(script_of("train.ipynb", cells).text, "train", "exec")


def test_every_refusal_is_ours(store: JobStore, folder: Path) -> None:
    """A notebook that is not there, or is a folder, is a plain error."""
    (folder / "dir.ipynb").mkdir()
    for name in ("none.ipynb", "dir.ipynb"):
        with pytest.raises(LaunchError, match=name):
            capture_folder(folder, [name], store=store)
