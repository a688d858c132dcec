"""Commands that need no server: they print one JSON document, or a table for people."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import Launch

SCRIPT = """\
import argparse, os, sys
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
parser.add_argument("--exit", type=int, default=0)
given = parser.parse_args()
print("trained with", given.lr)
sys.exit(given.exit)
"""


@pytest.fixture
def script(folder: Path) -> Path:
    """A small training script in the working folder."""
    path = folder / "train.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("code", [0, 1, 77])
def test_run_ends_as_its_program_ended(launch: Launch, script: Path, code: int) -> None:
    """The exit code is the program's, and so is stdout."""
    ended = launch("run", "--", sys.executable, script.name, "--exit", str(code))
    assert (ended.returncode, ended.stdout) == (code, "trained with 0.1\n")
    assert "Captured train:v0" in ended.stderr


def test_run_ends_with_128_and_the_signal(launch: Launch) -> None:
    """A program that a signal ended gives 128+n, as in a shell."""
    ended = launch("run", "--", "sh", "-c", "kill -TERM $$")
    assert ended.returncode == 128 + signal.SIGTERM


def test_run_passes_the_programs_own_options_on(launch: Launch, script: Path) -> None:
    """Without -- too, options after the program are the program's."""
    ended = launch("run", sys.executable, script.name, "--lr", "0.5")
    assert ended.stdout == "trained with 0.5\n"


def test_a_failed_capture_leaves_the_exit_code(launch: Launch, script: Path, home: Path) -> None:
    """When the capture fails afterwards, one line says so and the program's exit code stands."""
    spoil = (
        f"import pathlib, shutil; shutil.rmtree({str(home / 'store')!r}); pathlib.Path({str(home / 'store')!r}).touch()"
    )
    script.write_text(f"{spoil}\nraise SystemExit(9)\n")
    ended = launch("run", "--", sys.executable, script.name)
    assert ended.returncode == 9
    assert ended.stderr.startswith("warning: The run was not captured")
    assert len(ended.stderr.splitlines()) == 1


def test_run_with_json_prints_only_the_document(launch: Launch, script: Path) -> None:
    """With --json the program's output goes to stderr, and stdout is one document."""
    ended = launch("run", "--json", "--", sys.executable, script.name)
    document = json.loads(ended.stdout)
    assert (document["name"], document["version"], document["exit_code"]) == ("train", "v0", 0)
    assert document["digest"].startswith("sha256:")
    assert "trained with 0.1" in ended.stderr


def test_create_code_list_and_show_agree(launch: Launch, script: Path) -> None:
    """A job made from a folder is listed and shown with the same name, version and digest."""
    made = json.loads(launch("job", "create", "code", ".", "--json", "--", "python", script.name).stdout)
    listed = json.loads(launch("job", "list", "--json").stdout)
    shown = json.loads(launch("job", "show", made["name"], "--json").stdout)
    keys = ("name", "version", "digest")
    assert [made[key] for key in keys] == [listed[0][key] for key in keys] == [shown[key] for key in keys]
    assert shown["job"]["entrypoint"]["argv"] == ["python", "train.py"]


def test_show_tells_sub_command_and_what_values_are_allowed(launch: Launch, script: Path) -> None:
    """What a launch would run, and the choices and bounds of -p, are read without --json."""
    script.write_text(
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--seed', type=int, default=1)\n"
        "fit = p.add_subparsers().add_parser('fit')\nfit.add_argument('--opt', choices=['sgd', 'adam'])\n"
        "fit.add_argument('--betas', type=float, nargs=2)\np.parse_args()\n"
    )
    assert launch("run", "--", sys.executable, script.name, "fit", "--opt", "adam").returncode == 0
    lines = [" ".join(line.split()) for line in launch("job", "show", "train").stdout.splitlines()]
    assert "command python train.py fit" in lines
    assert any('"sgd", "adam"' in line for line in lines)
    assert any("array" in line and "of number, exactly 2" in line for line in lines)


def test_create_sets_aliases(launch: Launch, script: Path) -> None:
    """An alias given at creation names the version."""
    launch("job", "create", "code", ".", "--name", "digits", "--alias", "best", "--", "python", script.name)
    shown = json.loads(launch("job", "show", "digits:best", "--json").stdout)
    assert sorted(shown["aliases"]) == ["best", "latest"]


def test_create_keeps_the_words_after_the_dashes(launch: Launch, script: Path) -> None:
    """Words after -- are the command, whatever they look like."""
    words = ["python", script.name, "--name", "x", "--", "--json", "a b"]
    made = json.loads(launch("job", "create", "code", ".", "--json", "--", *words).stdout)
    shown = json.loads(launch("job", "show", made["reference"], "--json").stdout)
    assert shown["job"]["entrypoint"]["argv"] == words


def test_checkout_writes_the_tree(launch: Launch, script: Path, tmp_path: Path) -> None:
    """A job's source comes back byte for byte."""
    launch("job", "create", "code", ".", "--", "python", script.name)
    ended = launch("job", "checkout", "train", str(tmp_path / "out"))
    assert ended.returncode == 0
    assert (tmp_path / "out" / "train.py").read_bytes() == script.read_bytes()


def test_an_empty_store_lists_nothing(launch: Launch) -> None:
    """Nothing is an empty list, not an error."""
    ended = launch("job", "list", "--json")
    assert (ended.returncode, json.loads(ended.stdout), ended.stderr) == (0, [], "")


def test_people_are_told_the_next_command(launch: Launch, script: Path) -> None:
    """Without --json the next likely command is the last line, on stderr."""
    launch("job", "create", "code", ".", "--", "python", script.name)
    ended = launch("job", "list")
    assert ended.stdout.splitlines()[1].startswith("train:v0")
    assert ended.stderr.splitlines()[-1] == "next: launch job show train"


def test_init_lays_the_project_down_twice(launch: Launch, folder: Path) -> None:
    """The project is written once; a second time nothing is left to write."""
    first = json.loads(launch("init", "project", "--json").stdout)
    second = json.loads(launch("init", "project", "--json").stdout)
    assert "prefect.yaml" in first["written"]
    assert second["written"] == []
    assert (folder / "project" / "flows" / "launch_job.py").is_file()


def test_init_refuses_to_overwrite(launch: Launch, folder: Path) -> None:
    """A file that was changed by hand is kept, and the command is refused."""
    (folder / "prefect.yaml").write_text("mine: true\n")
    ended = launch("init")
    assert ended.returncode == 3
    assert (folder / "prefect.yaml").read_text() == "mine: true\n"


def test_down_with_nothing_up_is_done(launch: Launch) -> None:
    """Taking down what is not up succeeds and says so."""
    ended = launch("down", "--json")
    assert (ended.returncode, json.loads(ended.stdout)) == (0, {"stopped": False})


def test_doctor_says_what_to_do(launch: Launch) -> None:
    """Before the first `launch up`, doctor names the part and the remedy; nothing is broken."""
    ended = launch("doctor", "--json")
    server = next(check for check in json.loads(ended.stdout) if check["name"] == "server")
    assert (ended.returncode, server["ok"]) == (0, None)
    assert "launch up" in server["do"]


def test_a_closed_pipe_is_quiet(home: Path, folder: Path) -> None:
    """When the reader goes away, nothing is said; the code is a shell's for SIGPIPE."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "LAUNCH_JOBS_HOME": str(home)}
    argv = [sys.executable, "-m", "launch_jobs", "job", "list", "--json"]
    ended = subprocess.run(
        argv, stdout=write, stderr=subprocess.PIPE, env=environment, cwd=folder, check=False, timeout=60
    )
    os.close(write)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_an_encoding_without_our_characters_is_no_fault(launch: Launch) -> None:
    """Characters that the terminal lacks are escaped."""
    ended = launch("submit", "--help", environment={"PYTHONIOENCODING": "latin-1"})
    assert ended.returncode == 0
    assert "\\u2026" in ended.stdout
