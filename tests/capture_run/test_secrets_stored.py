"""Secrets and the whole way of a capture: the program does not start, and nothing of them reaches the store."""

from __future__ import annotations

import random
import string
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from launch_jobs.capture import capture_code, capture_folder
from launch_jobs.capture.git_carried import MANY
from launch_jobs.capture.tracked import run_tracked
from launch_jobs.errors import Refused
from launch_jobs.store.jobs import JobStore, open_store

SECRET = "hf_" + "".join(random.Random(5).choices(string.ascii_letters, k=34))
PROGRAM = "open('started', 'w').close()\n"
WHO = ["-c", "user.name=A", "-c", "user.email=a@example.org"]

Launch = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """An empty store, the one that the command line uses too."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LAUNCH_JOBS_STORE", (tmp_path / "store").as_uri())
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return open_store((tmp_path / "store").as_uri())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a program that leaves a mark."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "train.py").write_text(PROGRAM)
    return tmp_path / "project"


@pytest.fixture
def launch(store: JobStore, project: Path) -> Launch:
    """Runs the command line in the project."""

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        program = [sys.executable, "-m", "launch_jobs", *words]
        return subprocess.run(program, cwd=project, check=False, text=True, capture_output=True, timeout=60)

    return run


def git(folder: Path, *arguments: str) -> None:
    """Run git there."""
    subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True)


def everything(tmp_path: Path) -> bytes:
    """What the store and our home hold."""
    places = [tmp_path / "store", tmp_path / "home"]
    files = [file for place in places for file in place.rglob("*") if file.is_file()]
    return b"".join(file.read_bytes() for file in files)


@pytest.mark.parametrize("kind", ["code", "git"])
def test_program_is_not_started(launch: Launch, project: Path, tmp_path: Path, kind: str) -> None:
    """Refused before anything of it ran or was stored; with the permission it runs, and that is noted."""
    if kind == "git":
        git(project, "init", "--quiet")
        git(project, "add", ".")
        git(project, "commit", "--quiet", "-m", "one")
    (project / "settings.py").write_text(f"import os\nTOKEN = '{SECRET}'\n")

    ended = launch("run", "--", sys.executable, "train.py")

    assert (ended.returncode, (project / "started").exists()) == (3, False)
    assert "settings.py:2 (Hugging Face token hf_" in ended.stderr
    assert SECRET.encode() not in everything(tmp_path) + ended.stderr.encode()
    allowed = launch("run", "--json", "--allow-secret-file", "settings.py", "--", sys.executable, "train.py")
    assert (allowed.returncode, (project / "started").exists()) == (0, True)
    assert "--allow-secret-file let pass: settings.py:2" in allowed.stdout
    assert SECRET not in allowed.stdout


def test_ignored_file_stays_at_home(launch: Launch, project: Path) -> None:
    """What is not carried need not be judged."""
    (project / ".env").write_text(f"HF_TOKEN={SECRET}\n")
    (project / ".gitignore").write_text(".env\n")

    assert launch("run", "--", sys.executable, "train.py").returncode == 0


def test_jobs_without_a_run_are_judged_too(store: JobStore, project: Path, launch: Launch) -> None:
    """From a folder, and through `launch job create code`."""
    (project / ".env").write_text("A=1\n")

    for capture in (capture_code, capture_folder):
        with pytest.raises(Refused, match=r"\.env"):
            capture(project, [sys.executable, "train.py"], store=store)
    words = ("job", "create", "code", ".", "--", sys.executable, "train.py")
    assert launch(*words).returncode == 3
    assert launch(*words[:3], "--allow-secret-file", ".env", *words[3:]).returncode == 0
    version = store.versions("train")[-1]
    assert any(".env" in note for note in version.origin.notes)


def test_only_what_no_remote_has_is_judged(store: JobStore, project: Path, tmp_path: Path) -> None:
    """A pushed secret is not ours to carry; one in a commit that was not pushed is."""
    git(project, "init", "--quiet", "--initial-branch=main")
    (project / "old.py").write_text(f"TOKEN = '{SECRET}'\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "one")
    git(project, "init", "--quiet", "--bare", str(tmp_path / "remote"))
    git(project, "remote", "add", "origin", str(tmp_path / "remote"))
    git(project, "push", "--quiet", "origin", "main")
    assert capture_folder(project, [sys.executable, "train.py"], store=store).version == 0

    (project / "new.py").write_text(f"\n\nTOKEN = '{SECRET}'\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "two")

    with pytest.raises(Refused, match=r"captured: new\.py:3 \("):
        capture_folder(project, [sys.executable, "train.py"], store=store)


@pytest.mark.parametrize("words", [("--hub", SECRET), (f"--hub={SECRET}",), ("--db-password", "hunter2")])
def test_secret_on_the_command_line_is_refused(
    launch: Launch, project: Path, tmp_path: Path, words: tuple[str, ...]
) -> None:
    """It would be part of the job; the message names the option only."""
    ended = launch("run", "--", sys.executable, "train.py", *words)

    assert (ended.returncode, (project / "started").exists()) == (3, False)
    assert words[0].partition("=")[0] in ended.stderr
    assert not {SECRET, "hunter2"} & set(ended.stderr.replace("=", " ").split())
    assert SECRET.encode() not in everything(tmp_path)


def test_default_from_the_environment_is_not_stored(
    store: JobStore, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parameters stay, without the values that the program took from its environment."""
    monkeypatch.setenv("HUB", SECRET)
    monkeypatch.setenv("DB", "hunter2000")
    (project / "train.py").write_text(
        "import argparse, os\np = argparse.ArgumentParser()\n"
        "p.add_argument('--hub', default=os.environ['HUB'], help='default: %(default)s')\n"
        "p.add_argument('--db-password', default=os.environ['DB'])\np.add_argument('--lr', type=float, default=1.0)\n"
        "p.parse_args()\n"
    )

    ended = run_tracked([sys.executable, "train.py", "--lr=0.5"], store=store, directory=project)

    assert ended.version is not None
    assert ended.record is not None
    assert set(ended.version.job.inputs.parameters_schema["properties"]) == {"hub", "db_password", "lr"}  # type: ignore[arg-type]
    assert ended.record.parameters == {"lr": 0.5}
    assert any("db_password, hub" in note for note in ended.record.notes)
    stored = everything(tmp_path)
    assert (SECRET.encode() in stored, b"hunter2000" in stored) == (False, False)


def test_long_history_without_a_remote_is_judged_by_names(store: JobStore, project: Path) -> None:
    """Thousands of files that nobody ever pushed are not searched, which is said; a `.env` among them is seen."""
    git(project, "init", "--quiet")
    for at in range(MANY + 1):
        (project / f"{at}.py").write_text(f"TOKEN = '{SECRET}'\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "one")
    version = capture_folder(project, [sys.executable, "train.py"], store=store)
    assert any("were not searched for secrets" in note for note in version.origin.notes)

    (project / ".env").write_text("A=1\n")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "two")

    with pytest.raises(Refused, match=r"captured: \.env \("):
        capture_folder(project, [sys.executable, "train.py"], store=store)
