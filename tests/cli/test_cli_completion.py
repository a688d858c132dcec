"""Shell completion, asked by the shells themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Launch

BASH = """
eval "$(launch completion bash)"
COMP_WORDS=({words})
COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
_launch_completion launch "${{COMP_WORDS[COMP_CWORD]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def asked(home: Path, tmp_path: Path) -> dict[str, str]:
    """The environment of a shell that finds `launch`."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "launch").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m launch_jobs "$@"\n')
    (tools / "launch").chmod(0o755)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "LAUNCH_"))}
    return {**clean, "PATH": f"{tools}:{os.environ['PATH']}", "LAUNCH_JOBS_HOME": str(home)}


def _bash(environment: dict[str, str], words: str) -> list[str]:
    done = subprocess.run(
        ["bash", "-c", BASH.format(words=words)], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_commands_and_options(asked: dict[str, str]) -> None:
    """What begins so, in the tree and among a command's options."""
    assert _bash(asked, "launch sub") == ["submit"]
    assert _bash(asked, "launch job ch") == ["checkout"]
    assert "--watch" in _bash(asked, "launch submit --w")
    assert _bash(asked, "launch list --state comp") == ["completed"]


def test_bash_completes_job_names_of_the_store(asked: dict[str, str], launch: Launch, folder: Path) -> None:
    """For every command that takes a job."""
    (folder / "train.py").write_text("print(1)")
    for name in ("digits", "other"):
        made = launch("job", "create", "code", ".", "--name", name, "--", sys.executable, "train.py")
        assert made.returncode == 0, made.stderr
    assert _bash(asked, "launch submit di") == ["digits"]
    assert _bash(asked, "launch job show ''") == ["digits", "other"]


def test_without_a_server_names_are_none_and_nothing_is_said(asked: dict[str, str], home: Path) -> None:
    """A server that hangs is not waited for; no store is made; no error reaches the user's prompt."""
    environment = {**asked, "PREFECT_API_URL": "http://127.0.0.1:9/api"}
    begin = time.monotonic()
    assert _bash(environment, "launch show ''") == []
    assert _bash(environment, "launch submit j -q ''") == []
    assert _bash(asked, "launch submit ''") == []
    assert time.monotonic() - begin < 30
    assert not home.exists()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_every_shell_can_read_its_script(launch: Launch, shell: str) -> None:
    """The script defines a completion of `launch`; the shell itself finds no fault in it, where it is installed."""
    script = launch("completion", shell).stdout
    assert "_LAUNCH_COMPLETE" in script
    if shutil.which(shell):
        checked = subprocess.run([shell, "-n"], input=script, capture_output=True, text=True, check=False)
        assert (checked.returncode, checked.stderr) == (0, "")


def test_an_unknown_shell_is_bad_input(launch: Launch) -> None:
    """One line that names the three."""
    said = launch("completion", "tcsh")
    assert said.returncode == 2
    assert "fish" in said.stderr
