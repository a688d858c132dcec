"""What happens before a tracked program starts: as little as can be, and still all that must not wait for its end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch_jobs.basics import basics
from launch_jobs.settings import load_settings
from launch_jobs.store import keys
from launch_jobs.store.jobs import open_store
from launch_jobs.store.ready import is_ready

SLOW = {
    "pydantic",
    "pydantic_core",
    "pydantic_settings",
    "asyncio",
    "filelock",
    "jsonschema",
    "pathspec",
    "yaml",
    "git",
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of our own, with an empty store in it, and nothing set besides."""
    for name in list(os.environ):
        if name.startswith("LAUNCH_JOBS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    open_store((tmp_path / "home" / "store").as_uri())
    return tmp_path / "home"


def _run(tmp_path: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`launch run` of a command, in a repository with one commit."""
    project = tmp_path / "project"
    project.mkdir()
    (project / "train.py").write_text("print('trained')\n")
    git = ("git", "-c", "user.name=Test", "-c", "user.email=test@example.org")
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *words], cwd=project, check=True)
    (tmp_path / "scratch").mkdir()
    return subprocess.run(
        [sys.executable, *options, "-m", "launch_jobs", "run", "--", *command],
        cwd=project,
        env={**os.environ, "TMPDIR": str(tmp_path / "scratch")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_program_waits_for_nothing_slow(tmp_path: Path, home: Path) -> None:
    """The libraries that take longest to import are imported once it has ended: here it ends `launch run` with it."""
    assert home.exists()
    done = _run(tmp_path, "sh", "-c", "kill -9 $PPID", options=("-X", "importtime"))

    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert {"launch_jobs.capture.git_snapshot", "launch_jobs.capture.secrets", "subprocess"} <= loaded
    assert loaded.isdisjoint(SLOW)


@pytest.mark.parametrize("damage", ["changed", "link", "writable", "stranger"])
def test_a_program_starts_only_with_a_store_to_keep_it(tmp_path: Path, home: Path, damage: str) -> None:
    """A store that cannot be opened is told of before anything runs."""
    marker = home / "store" / keys.MARKER
    if damage == "changed":
        marker.write_bytes(marker.read_bytes().replace(b"1}", b"2}"))
    elif damage == "link":
        marker.rename(tmp_path / "marker")
        marker.symlink_to(tmp_path / "marker")
    elif damage == "writable":
        (home / "store").chmod(0o777)
    else:
        marker.rename(home / "store" / "notes.txt")
    done = _run(tmp_path, "touch", "started")

    assert done.returncode == 125, done.stderr
    assert "job store" in done.stderr
    assert not (tmp_path / "project" / "started").exists()


def test_a_look_at_a_store_knows_those_that_can_be_opened(tmp_path: Path) -> None:
    """The mark that is looked for is the one that opening makes; nowhere else is a store."""
    place = tmp_path / "a store"
    assert not is_ready(place.as_uri())
    open_store(place.as_uri())

    assert is_ready(place.as_uri())
    assert not any(is_ready(url) for url in ("s3://bucket", "block:store", f"{place.as_uri()}?x", "file:", str(place)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LAUNCH_JOBS_STORE", "s3://bucket/jobs"),
        ("LAUNCH_JOBS_STORE", ""),
        ("launch_jobs_store", "s3://bucket/other"),
        ("LAUNCH_JOBS_SOURCE_LIMIT_BYTES", "1000"),
        ("LAUNCH_JOBS_GIT_REMOTES", "file:///"),
        ("LAUNCH_JOBS_GIT_CREDENTIALS", "mine"),
        ("settings.toml", 'store = "s3://bucket/file"\nsource_limit_bytes = 7\n'),
        ("server.json", '{"store": "s3://bucket/connected"}'),
        ("server.json", '{"url": "http://127.0.0.1:4200/api"}'),
        ("server.json", "damaged"),
    ],
)
def test_the_few_settings_are_those_of_all(home: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """What is read without pydantic is what pydantic reads, wherever it is set."""
    if "." in name:
        (home / name).write_text(value)
    else:
        monkeypatch.setenv(name, value)
    known, few = load_settings(), basics()

    assert few.store_url == known.store_url
    assert (few.source_limit_bytes, few.git_remotes) == (known.source_limit_bytes, known.git_remotes)
    assert few.git_credentials == known.git_credentials


def test_a_store_that_is_lost_while_the_program_runs(tmp_path: Path, home: Path) -> None:
    """The program's end stands, and what was seen of it is kept beside."""
    done = _run(tmp_path, "sh", "-c", f"chmod 777 {home / 'store'}; exit 7")

    assert done.returncode == 7
    assert "not captured" in done.stderr
    assert [*(home / "captures").glob("*/problem.txt")]
