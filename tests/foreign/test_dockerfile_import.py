"""A folder with a Dockerfile becomes a job that builds it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launch_jobs.errors import BadInput
from launch_jobs.foreign import Asked
from launch_jobs.foreign.dockerfile import command_of
from launch_jobs.foreign.importing import import_folder
from launch_jobs.store.jobs import JobStore

COMMANDS = {
    'FROM a\nCMD ["python", "x.py"]': ("python", "x.py"),
    'FROM a\nENTRYPOINT ["python"]\nCMD ["x.py"]': ("python", "x.py"),
    "FROM a\nCMD python x.py": ("/bin/sh", "-c", "python x.py"),
    'FROM a\nENTRYPOINT exec python\nCMD ["x"]': ("/bin/sh", "-c", "exec python"),
    'FROM a AS b\nCMD ["first"]\nFROM c\nRUN x': (),
    'from a\n# note\ncmd ["python", \\\n  # inside\n  "x.py"]': ("python", "x.py"),
    'FROM a\nCMD ["a"]\nENTRYPOINT ["b"]': ("b",),
}


@pytest.mark.parametrize("text", COMMANDS)
def test_command(text: str) -> None:
    """As the image would have it."""
    assert command_of(text) == COMMANDS[text]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of a larger repository."""
    folder = tmp_path / "repo" / "My Trainer"
    folder.mkdir(parents=True)
    (folder / "Dockerfile").write_text('FROM python:3.12\nCOPY . .\nCMD ["python", "x.py"]\n')
    (folder / "x.py").write_text("print(1)\n")
    (folder.parent / "other.py").write_text("")
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=folder.parent, check=True)
    return folder


def test_the_folder_is_the_build_context(folder: Path, store: JobStore) -> None:
    """Not the repository around it: paths in the Dockerfile are relative to it."""
    version = import_folder(folder, Asked(store)).version
    assert (version.name, version.job.dockerfile, version.job.source.type) == ("my-trainer", "Dockerfile", "code")
    assert version.job.entrypoint.argv == ("python", "x.py")
    assert import_folder(folder, Asked(store, command=("sh",)), name="own").version.job.entrypoint.argv == ("sh",)


def test_without_a_command_it_says_how(folder: Path, store: JobStore) -> None:
    """The base image's own command is not known here."""
    (folder / "Dockerfile").write_text("FROM python:3.12\n")
    with pytest.raises(BadInput, match=r"says no command.*-- CMD"):
        import_folder(folder, Asked(store))


def test_a_folder_of_no_tool_is_said(tmp_path: Path, store: JobStore) -> None:
    """With what could be named."""
    (tmp_path / "plain").mkdir()
    with pytest.raises(BadInput, match="MLflow project"):
        import_folder(tmp_path / "plain", Asked(store))
