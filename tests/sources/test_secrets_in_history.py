"""A secret that was committed and taken away again travels in the bundle of unpushed commits: it is refused."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest
from repositories import Repo, add_remote, capture

from launch_jobs.capture.source import snapshot_source, usual_limits
from launch_jobs.errors import Refused
from launch_jobs.store.jobs import JobStore

# Drawn, never written down, so that no scanner finds this file.
TOKEN = "ghp_" + "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=36))


def put_and_take_away(repo: Repo, name: str, text: str) -> str:
    """Two commits: one with a file, one without; the first one's id."""
    (repo.root / name).write_text(text)
    first = repo.commit("with it")
    (repo.root / name).unlink()
    repo.commit("without it")
    return first


def test_a_secret_of_an_unpushed_commit_is_refused(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """With file, line, kind and commit; the value is never said, and nothing is stored."""
    add_remote(repo, tmp_path / "remote.git")
    first = put_and_take_away(repo, "client.py", f"import x\nx.login('{TOKEN}')\n")

    with pytest.raises(Refused, match=rf"client\.py:2 \(GitHub token ghp_\*\*\*\*\) in commit {first[:7]}") as raised:
        capture(repo.root, store)
    assert TOKEN not in str(raised.value)
    assert not [
        path for path in (tmp_path / "store").rglob("*") if path.is_file() and TOKEN.encode() in path.read_bytes()
    ]


def test_committed_and_only_gone_from_the_work_tree(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """What the commit holds travels too, whatever became of the file since."""
    add_remote(repo, tmp_path / "remote.git")
    (repo.root / "client.py").write_text(f"login('{TOKEN}')\n")
    repo.commit()
    (repo.root / "client.py").write_text("login(os.environ['TOKEN'])\n")

    with pytest.raises(Refused, match=r"client\.py:1"):
        capture(repo.root, store)


def test_pushed_commits_are_everybodys(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """What a remote has already does not travel in the job."""
    put_and_take_away(repo, "client.py", f"login('{TOKEN}')\n")
    add_remote(repo, tmp_path / "remote.git")
    (repo.root / "train.py").write_text("print('three')\n")
    repo.commit()

    assert capture(repo.root, store).origin.bundle


def test_it_may_be_allowed_by_name(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """`--allow-secret-file` holds for what the file once was; the job says so."""
    add_remote(repo, tmp_path / "remote.git")
    put_and_take_away(repo, "client.py", f"login('{TOKEN}')\n")

    with snapshot_source(repo.root, store, limits=usual_limits(["client.py"])) as snapshot:
        assert any("in commits that travel with the job: client.py" in note for note in snapshot.origin.notes)


def test_without_any_remote_names_count(repo: Repo, store: JobStore) -> None:
    """A project's test passwords do not keep it from its first run; a key file that it once had does."""
    put_and_take_away(repo, "test_client.py", f"login('{TOKEN}')\n")
    assert capture(repo.root, store).origin.bundle
    put_and_take_away(repo, "id_rsa", "whatever\n")

    with pytest.raises(Refused, match=r"id_rsa .* by its name"):
        capture(repo.root, store)
