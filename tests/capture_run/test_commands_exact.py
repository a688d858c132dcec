"""A captured command is the argument vector that was given, and nothing of the environment it had."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from launch_jobs.capture.tracked import run_tracked
from launch_jobs.errors import BadInput
from launch_jobs.store.jobs import JobStore

ODD = ("a\nb", "$(touch owned)", "`id`", 'it\'s "q"', "-x", "--", "", "*", "ä 😀", "\\", "%s {{ x }}", "x" * 100_000)


def test_odd_arguments_and_the_environment(store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Newlines, shell signs, quotes, empty and long words come through; no variable is stored, however it is named."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MY_LEARNING_RATE", "value-of-the-environment")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    project = tmp_path / "project"
    project.mkdir()
    (project / "main.py").write_text("import json, sys\njson.dump(sys.argv[1:], open('got.json', 'w'))\n")
    ended = run_tracked((sys.executable, "main.py", *ODD), store=store, directory=project)
    assert json.loads((project / "got.json").read_text()) == list(ODD)
    assert ended.version is not None, ended.problem
    assert ended.version.job.entrypoint.argv == ("python", "main.py", *ODD)
    assert not (project / "owned").exists()
    stored = [path for path in (tmp_path / "store").rglob("*") if path.is_file()]
    assert stored
    assert not [path for path in stored if b"value-of-the-environment" in path.read_bytes()]


@pytest.mark.parametrize("word", ["a\0b", "x" * (1 << 20)])
def test_words_that_no_program_can_get_are_bad_input(store: JobStore, tmp_path: Path, word: str) -> None:
    """Linux takes no NUL character, and 128 KiB a word."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").write_text("")
    with pytest.raises(BadInput):
        run_tracked((sys.executable, "main.py", word), store=store, directory=tmp_path / "project")
