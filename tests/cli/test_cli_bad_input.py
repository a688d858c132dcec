"""Bad input on the command line: one clear line, the right exit code, no traceback, nothing on stdout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from launch_jobs.cli.entry import run

if TYPE_CHECKING:
    from conftest import Launch

NOWHERE = {"PREFECT_API_URL": "http://127.0.0.1:9/api"}
"""Port 9 (discard) is never served on a test machine."""

WRONG = [
    (["frobnicate"], "No such command 'frobnicate'"),
    (["list", "--frobnicate"], "No such option '--frobnicate'"),
    (["show"], "Missing argument 'RUN'"),
    (["show", "a", "b"], "unexpected extra argument"),
    (["list", "--state", "happy"], "'happy' is not one of"),
    (["list", "--limit", "0"], "0 is not in the range"),
    (["submit"], "JOB or -- CMD"),
    (["submit", "digits", "--", "true"], "JOB or -- CMD"),
    (["submit", "--"], "command after -- is empty"),
    (["submit", "--", ""], "command after -- is empty"),
    (["submit", "-p", "lr=3", "--", "true"], "-p cannot go with -- CMD"),
    (["submit", "digits", "--retries", "-1"], "-1 is not in the range"),
    (["submit", "digits", "--dataset", "model"], "'model' is not name=value"),
    (["submit", "digits", "-p", "lr"], "'lr' is not name=value"),
    (["submit", "digits", "-p", "=3"], "'=3' is not name=value"),
    (["submit", "digits", "--set", "gpus"], "'gpus' is not name=value"),
    (["submit", "digits", "--env", "A"], "'A' is not name=value"),
    (["submit", "digits", "--timeout", "soon"], "'soon' is no duration"),
    (["submit", "digits", "--timeout", "0"], "'0' is no duration"),
    (["submit", "digits", "--entrypoint", "'"], "No closing quotation"),
    (["submit", "digits", "--entrypoint", " "], "command is empty"),
    (["submit", "digits", "--watch", "--dry-run"], "exclude each other"),
    (["down", "--drain", "--cancel"], "exclude each other"),
    (["job", "show", "no such"], "cannot name a job"),
    (["job", "show", "digits@sha256:12"], "is no job reference"),
    (["job", "show", "digits"], "no job 'digits'"),
    (["build", "digits", "--dry-run"], "no job 'digits'"),
    (["job", "create", "code", "."], "The command is missing"),
    (["job", "create", "code", "nowhere", "--", "true"], "nowhere"),
    (["job", "create", "code", ".", "--alias", "v3", "--", "true"], "reads as a version"),
    (["job", "create", "git", ".", "--", "true"], "no git repository"),
    (["queue", "create", "q"], "Missing option '--type'"),
    (["queue", "create", "q", "--type", "docker", "--template", "none.json"], "none.json"),
    (["agent"], "Missing option '-q'"),
    (["cancel"], "Missing argument 'RUN...'"),
]


def one_line(stderr: str) -> str:
    """The only line of stderr, an error."""
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.fixture
def here(home: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process stands where `launch` would."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(home))
    monkeypatch.chdir(folder)


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(("arguments", "said"), WRONG, ids=[" ".join(arguments) for arguments, _ in WRONG])
def test_bad_input_is_one_line_and_exit_2(capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    """A wrong command ends with 2 and one line that names what is wrong."""
    code = run(arguments)
    out, err = capsys.readouterr()
    assert said in one_line(err)
    assert (code, out) == (2, "")


@pytest.mark.parametrize("arguments", [["list"], ["agent", "-q", "x"]], ids=" ".join)
def test_a_server_that_does_not_answer_is_exit_4(launch: Launch, arguments: list[str]) -> None:
    """Without an answer from the server a command ends with 4 and says where it asked."""
    ended = launch(*arguments, environment=NOWHERE)
    assert "http://127.0.0.1:9/api does not answer" in one_line(ended.stderr)
    assert (ended.returncode, ended.stdout) == (4, "")


def test_no_server_at_all_is_exit_4(launch: Launch) -> None:
    """Where no server was ever started, the line says how to start one."""
    ended = launch("list")
    assert "launch up" in one_line(ended.stderr)
    assert ended.returncode == 4


def test_env_without_a_server_prints_no_export(launch: Launch) -> None:
    """`eval "$(launch env)"` must not set anything when nothing is up."""
    ended = launch("env")
    assert "launch up" in one_line(ended.stderr)
    assert (ended.returncode, ended.stdout) == (4, "")


def test_an_error_with_json_is_one_document(launch: Launch) -> None:
    """With --json an error, too, is exactly one document on stdout."""
    ended = launch("job", "show", "digits", "--json")
    error = json.loads(ended.stdout)["error"]
    assert error["exit_code"] == ended.returncode == 2
    assert error["what"] in one_line(ended.stderr)


def test_json_after_the_dashes_is_the_programs(launch: Launch) -> None:
    """A --json behind -- is not ours: the error stays a line."""
    ended = launch("submit", "digits", "--", "true", "--json")
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    "arguments",
    [["--"], [], ["--", ""], ["--", "no-such-program"], ["--bogus", "--", "true"], ["--name", "B^d", "--", "true"]],
    ids=" ".join,
)
def test_run_refuses_with_125(launch: Launch, arguments: list[str]) -> None:
    """What `launch run` refuses before the start ends with 125, which no program is likely to use."""
    ended = launch("run", *arguments)
    one_line(ended.stderr)
    assert (ended.returncode, ended.stdout) == (125, "")


def test_an_unusable_store_is_one_line(launch: Launch) -> None:
    """A job store that cannot be made is said in one line."""
    ended = launch("job", "list", environment={"LAUNCH_JOBS_STORE": "file:///proc/store"})
    assert "/proc/store" in one_line(ended.stderr)
    assert ended.returncode in {2, 4}


def test_a_wrong_setting_is_one_line(launch: Launch) -> None:
    """An ill-typed setting names the variable."""
    ended = launch("job", "list", environment={"LAUNCH_JOBS_PORT": "many"})
    assert "LAUNCH_JOBS_PORT" in one_line(ended.stderr)
    assert ended.returncode == 2


def test_an_argument_that_is_not_utf8_is_one_line(launch: Launch) -> None:
    """Bytes that are no text are refused before anything else sees them."""
    ended = launch("submit", "digits", "-p", os.fsdecode(b"name=\xff"))
    assert "is not UTF-8" in one_line(ended.stderr)
    assert ended.returncode == 2


@pytest.mark.usefixtures("here")
def test_a_fault_of_ours_is_one_line_and_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unexpected exception shows no traceback; it is kept, readable for its owner only."""

    @click.command()
    def broken() -> None:
        raise ZeroDivisionError("of\nours")

    code = run([], broken)
    log = home / "logs" / "cli-error.log"
    line = one_line(capsys.readouterr().err)
    assert "ZeroDivisionError: of ours" in line
    assert str(log) in line
    assert code == 1
    assert "Traceback" in log.read_text()
    assert log.stat().st_mode & 0o077 == 0


@pytest.mark.usefixtures("here")
def test_an_interrupt_is_130(capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C ends with a shell's code and says nothing."""

    @click.command()
    def interrupted() -> None:
        raise KeyboardInterrupt

    assert run([], interrupted) == 130
    assert capsys.readouterr() == ("", "")
