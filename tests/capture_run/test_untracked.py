"""Jobs captured without a run, and how commands are understood."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.capture import capture_code, capture_git
from launch_jobs.capture.interpreter import find_program
from launch_jobs.errors import BadInput
from launch_jobs.store.jobs import JobStore


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A git repository with a script in a folder, and a change that is not committed."""
    folder = tmp_path / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "fit.py").write_text("import click\n")
    for command in (["init"], ["add", "."], ["-c", "user.name=A", "-c", "user.email=a@b.c", "commit", "-m", "one"]):
        subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)
    (folder / "src" / "new.py").write_text("import jsonschema\n")
    return folder


def test_code_job_has_what_its_source_imports(store: JobStore, project: Path) -> None:
    """Nothing is run; source, entrypoint and environment are the folder's."""
    version = capture_code(project / "src", [sys.executable, "fit.py", "--n", "1"], store=store)

    job = version.job
    assert (version.label, job.source.type) == ("fit:v0", "code")
    assert (job.entrypoint.argv, job.entrypoint.directory) == (("python", "fit.py", "--n", "1"), ".")
    assert {"click", "jsonschema", "attrs"} <= {one.name for one in job.environment.distributions}


def test_git_job_has_uncommitted_changes_and_its_folder(store: JobStore, project: Path) -> None:
    """The work tree is the source, the given folder the working directory."""
    job = capture_git(project / "src", [sys.executable, "fit.py"], store=store, name="other").job

    assert job.source.type == "git"
    assert job.entrypoint.directory == "src"
    assert "jsonschema" in {one.name for one in job.environment.distributions}


def test_git_job_of_a_ref_has_the_commit_only(store: JobStore, project: Path) -> None:
    """A ref names committed content: the uncommitted file is not in it."""
    job = capture_git(project, [sys.executable, "src/fit.py"], store=store, ref="HEAD").job

    assert [one.name for one in job.environment.distributions] == ["click"]


def test_git_job_outside_a_repository_is_refused(store: JobStore, tmp_path: Path) -> None:
    """A plain folder is no git source, and the message says what to use."""
    (tmp_path / "plain").mkdir()
    (tmp_path / "plain" / "x.py").write_text("")

    with pytest.raises(BadInput, match="no git repository"):
        capture_git(tmp_path / "plain", [sys.executable, "x.py"], store=store)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train.py", "-m", "x"], ("script", "train.py", (), "train")),
        (["-u", "-W", "error", "train.py"], ("script", "train.py", ("-u", "-W", "error"), "train")),
        (["-Xdev", "-Im", "pkg.fit", "a"], ("module", "pkg.fit", ("-Xdev", "-I"), "fit")),
        (["-mpkg.fit"], ("module", "pkg.fit", (), "fit")),
        (["-c", "pass"], ("code", "", (), "python")),
        (["-"], ("input", "", (), "python")),
        ([], ("input", "", (), "python")),
    ],
)
def test_python_commands_are_read_as_python_reads_them(
    words: list[str], expected: tuple[str, str, tuple[str, ...], str], tmp_path: Path
) -> None:
    """Options with and without values, joined or not, end where Python ends them."""
    (tmp_path / "train.py").write_text("")
    (tmp_path / "python").symlink_to(sys.executable)

    program = find_program([str(tmp_path / "python"), *words], tmp_path)

    assert (program.kind, program.target, program.flags, program.name) == expected


@pytest.mark.parametrize(
    "head",
    ["#!{python}\n", "#!/usr/bin/env -S {python} -u\n", "#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''\n"],
)
def test_the_python_behind_a_script_is_found(head: str, tmp_path: Path) -> None:
    """By its first line, through env, and in pip's form for long paths."""
    script = tmp_path / "tool"
    script.write_text(head.format(python=sys.executable))
    script.chmod(0o755)

    assert find_program(["./tool"], tmp_path).python == sys.executable
