"""`launch job …` without a server: making, comparing, carrying, naming and deleting jobs, as a user types it."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from launch_jobs.capture import capture_code
from launch_jobs.store.jobs import JobStore, open_store

if TYPE_CHECKING:
    from conftest import Launch

SCHEMA = {"type": "object", "properties": {"lr": {"type": "number", "default": 0.1}}}


@pytest.fixture
def store(home: Path) -> JobStore:
    """The job store of `launch`."""
    return open_store((home / "store").as_uri())


@pytest.fixture
def job(store: JobStore, folder: Path) -> Path:
    """The job train:v0, whose source is the folder that this returns."""
    source = folder / "source"
    source.mkdir()
    (source / "train.sh").write_text("echo one\n")
    capture_code(source, ["sh", "train.sh"], store=store, name="train")
    return source


def _create(launch: Launch, *options: str) -> None:
    ended = launch("job", "create", "code", "source", "--name", "train", *options, "--", "sh", "train.sh")
    assert ended.returncode == 0, ended.stderr


def _json(launch: Launch, *arguments: str) -> dict[str, object]:
    ended = launch(*arguments, "--json")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_create_takes_what_the_user_says(launch: Launch, folder: Path, job: Path) -> None:
    """Python, base image and schema are in the job; a build context and a Dockerfile in another."""
    (folder / "schema.json").write_text(json.dumps(SCHEMA))
    _create(launch, "--python", "3.12", "--base-image", "tools:1", "--schema", "schema.json")
    made = _json(launch, "job", "show", "train:v1")["job"]
    assert isinstance(made, dict)
    assert (made["environment"]["python"], made["base_image"]) == ("3.12", "tools:1")
    assert made["inputs"]["parameters_schema"] == SCHEMA
    (job / "docker").mkdir()
    (job / "docker" / "Dockerfile").touch()
    words = ("--build-context", "docker", "--dockerfile", "Dockerfile", "--name", "inner", "--", "true")
    assert launch("job", "create", "code", "source", *words).returncode == 0
    assert "Dockerfile" in launch("job", "show", "inner").stdout


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--schema", "nothing.json"), "nothing.json"),
        (("--schema", "source"), "source"),
        (("--python", "three"), "three"),
        (("--base-image", "A B"), "A B"),
        (("--dockerfile", "nowhere"), "nowhere"),
        (("--build-context", "/"), "build context"),
    ],
)
@pytest.mark.usefixtures("job")
def test_a_wrong_option_is_one_line(launch: Launch, store: JobStore, options: tuple[str, ...], words: str) -> None:
    """Nothing is made, and the line names it."""
    ended = launch("job", "create", "code", "source", "--name", "other", *options, "--", "sh", "train.sh")
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert words in ended.stderr
    assert store.names() == ["train"]


def test_diff_tells_what_changed(launch: Launch, job: Path) -> None:
    """Lines of text for people, the same in JSON, and exit code 0."""
    (job / "train.sh").write_text("echo two\n")
    (job / "new.bin").write_bytes(b"\0\1")
    _create(launch, "--python", "3.12")
    ended = launch("job", "diff", "train:v0", "train:v1")
    assert (ended.returncode, ended.stderr) == (0, "next: launch submit train:v1 -q QUEUE\n")
    lines = ended.stdout.splitlines()
    assert lines[0] == "train:v0 → train:v1"
    assert {"+ python 3.12", "    -echo one", "    +echo two"} <= set(lines)
    assert any(line.startswith("+ new.bin (2 B, ") for line in lines)
    told = _json(launch, "job", "diff", "train:v0", "train:v1")
    assert told["same"] is False
    assert told["environment"] == [{"name": "python", "kind": "added", "before": None, "after": "3.12"}]
    assert [(one["path"], one["kind"]) for one in told["files"]] == [("new.bin", "added"), ("train.sh", "changed")]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]


@pytest.mark.usefixtures("job")
def test_diff_of_a_job_with_itself(launch: Launch) -> None:
    """Nothing is listed."""
    ended = launch("job", "diff", "train", "train:v0")
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 2)
    assert _json(launch, "job", "diff", "train", "train")["same"] is True


def test_export_and_import_carry_a_job(launch: Launch, job: Path, folder: Path, home: Path) -> None:
    """On a machine with an empty home the file alone gives the job and its source."""
    exported = _json(launch, "job", "export", "train", "train.job")
    shutil.rmtree(home)
    shutil.rmtree(job)
    imported = _json(launch, "job", "import", "train.job", "--name", "carried")
    assert (imported["name"], imported["digest"], imported["new"]) == ("carried", exported["digest"], True)
    assert launch("job", "checkout", "carried", "out").returncode == 0
    assert (folder / "out" / "train.sh").read_text() == "echo one\n"
    assert "was there already" in launch("job", "import", "train.job", "--name", "carried").stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "train", "source"), "there already"),
        (("export", "nothing", "file"), "nothing"),
        (("import", "source"), "is a folder"),
        (("import", "source/train.sh"), "cannot be imported"),
        (("import", "nothing"), "no file"),
        (("diff", "train", "train:v7"), "v7"),
        (("alias", "train", "v3"), "reads as a version"),
        (("alias", "train", "Best!"), "Best!"),
        (("alias", "train", "latest"), "captured last"),
        (("alias", "train", "latest", "--delete"), "captured last"),
        (("alias", "train", "none", "--delete"), "no alias"),
        (("delete", "train"), "--all"),
        (("delete", "train:v0", "--all"), "names a version"),
        (("delete", "train:v7"), "v7"),
        (("delete", "nothing", "--all"), "nothing"),
    ],
)
@pytest.mark.usefixtures("job")
def test_bad_input_is_one_line(launch: Launch, store: JobStore, arguments: tuple[str, ...], words: str) -> None:
    """Exit code 2, one line that names what is wrong, and the job stays as it is."""
    ended = launch("job", *arguments)
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1), ended.stderr
    assert words in ended.stderr
    assert (store.numbers("train"), store.aliases("train")) == ([0], {"latest": 0})


@pytest.fixture
def second(store: JobStore, job: Path) -> None:
    """The version train:v1."""
    (job / "train.sh").write_text("echo two\n")
    capture_code(job, ["sh", "train.sh"], store=store, name="train")


@pytest.mark.usefixtures("second")
def test_an_alias_is_set_moved_and_removed(launch: Launch, store: JobStore) -> None:
    """It means what it was set to last, and is removed only by who names what it means."""
    assert launch("job", "alias", "train:v0", "best").stdout == "train:best means train:v0\n"
    assert _json(launch, "job", "alias", "train:v1", "best")["version"] == "v1"
    assert store.aliases("train") == {"best": 1, "latest": 1}
    refused = launch("job", "alias", "train:v0", "best", "--delete")
    assert (refused.returncode, "means v1" in refused.stderr) == (2, True)
    assert launch("job", "alias", "train:best", "best", "--delete").stdout == "train:best is no more\n"
    assert store.aliases("train") == {"latest": 1}


@pytest.mark.usefixtures("second")
def test_delete_a_version_then_the_job(launch: Launch, store: JobStore) -> None:
    """A version that an alias means is kept until told otherwise; --all takes everything."""
    store.set_alias("train", "best", 1)
    refused = launch("job", "delete", "train:v1")
    assert (refused.returncode, "best" in refused.stderr) == (3, True)
    assert _json(launch, "job", "delete", "train:best", "--drop-aliases")["deleted"] == ["v1"]
    assert (store.numbers("train"), store.aliases("train")) == ([0], {"latest": 0})
    assert launch("job", "delete", "train", "--all", "--yes").returncode == 0
    assert store.names() == []


@pytest.mark.usefixtures("second")
def test_a_damaged_version_can_be_deleted(launch: Launch, store: JobStore, home: Path) -> None:
    """What cannot be read is named by its number, and goes."""
    version = home / "store" / "versions" / "train" / "v1"
    version.chmod(0o600)
    version.write_bytes(b"damaged")
    assert _json(launch, "job", "delete", "train:v1")["deleted"] == ["v1"]
    assert store.numbers("train") == [0]


@pytest.mark.usefixtures("job")
def test_delete_asks_on_a_terminal(store: JobStore, home: Path) -> None:
    """The answer no keeps the job; yes deletes it."""
    assert "Delete all versions of train?" in _on_terminal(home, "no\n", "job", "delete", "train", "--all")
    assert store.names() == ["train"]
    _on_terminal(home, "y\n", "job", "delete", "train", "--all")
    assert store.names() == []


def _on_terminal(home: Path, answer: str, *arguments: str) -> str:
    """Run `launch` with a terminal for stdin; what it says on stderr."""
    ours, theirs = pty.openpty()
    os.write(ours, answer.encode())
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LAUNCH_"))}
    ended = subprocess.run(
        [sys.executable, "-m", "launch_jobs", *arguments],
        env={**clean, "LAUNCH_JOBS_HOME": str(home), "PREFECT_HOME": str(home)},
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    os.close(ours)
    os.close(theirs)
    return ended.stdout + ended.stderr
