"""Where a commit comes from again: its remote, a bundle, or both; and what is never fetched from."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from repositories import Repo, add_remote, capture, round_trip, tree_of, version_of

from launch_jobs.capture.git_checkout import snapshot_remote
from launch_jobs.capture.git_remote import clean_url
from launch_jobs.capture.source import checkout
from launch_jobs.errors import CaptureError, Refused, StoreError, Unavailable
from launch_jobs.job import JobVersion, Origin
from launch_jobs.store.jobs import JobStore


def _write(repo: Repo, text: str) -> None:
    (repo.root / "train.py").write_text(text)


def _with_origin(version: JobVersion, **changes: str | None) -> JobVersion:
    return version.model_copy(update={"origin": version.origin.model_copy(update=changes)})


def test_pushed_commit_needs_no_bundle(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """The remote has the commit, so that only the changes are stored."""
    add_remote(repo, tmp_path / "remote.git")
    _write(repo, "changed\n")
    version = capture(repo.root, store)
    assert (version.origin.remote, version.origin.bundle) == (str(tmp_path / "remote.git"), None)
    expected = tree_of(repo.root)
    shutil.rmtree(repo.root)
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out") == expected


def test_clean_checkout_stores_nothing(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A pushed commit without changes needs no blob at all."""
    add_remote(repo, tmp_path / "remote.git")
    assert capture(repo.root, store).origin == Origin(remote=str(tmp_path / "remote.git"))


def test_commit_without_remote_is_bundled(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """Without a remote, the store alone gives the tree."""
    version = capture(repo.root, store)
    assert version.origin.remote is None
    expected = tree_of(repo.root)
    shutil.rmtree(repo.root)
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out") == expected


def test_unpushed_commits_are_bundled_onto_the_remote(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """The bundle holds only what the remote has not, and both together give the tree."""
    pushed = repo.git("rev-parse", "HEAD").strip()
    (repo.root / "history.bin").write_bytes(Path("/usr/bin/env").read_bytes())
    repo.commit()
    add_remote(repo, tmp_path / "remote.git")
    for text in ("one\n", "two\n"):
        _write(repo, text)
        repo.commit()
    _write(repo, "uncommitted\n")
    version = capture(repo.root, store)
    expected = tree_of(repo.root)
    shutil.rmtree(repo.root)
    assert version.origin.bundle
    store.get_blob(version.origin.bundle, tmp_path / "bundle")
    header = (tmp_path / "bundle").read_bytes()
    assert len(header) < 3000
    assert pushed.encode() not in header
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out") == expected


def test_diverged_branch_is_bundled_onto_the_common_commit(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """When the remote went on elsewhere, the bundle builds on what both have."""
    add_remote(repo, tmp_path / "remote.git")
    common = repo.git("rev-parse", "HEAD").strip()
    _write(repo, "theirs\n")
    repo.commit()
    repo.git("push", "--quiet")
    repo.git("reset", "--quiet", "--hard", common)
    _write(repo, "ours\n")
    repo.commit()
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_merge_of_two_remote_branches(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """An unpushed merge builds on both branches."""
    add_remote(repo, tmp_path / "remote.git")
    repo.git("checkout", "--quiet", "-b", "side")
    (repo.root / "side.py").write_text("x")
    repo.commit()
    repo.git("push", "--quiet", "origin", "side")
    repo.git("checkout", "--quiet", "main")
    _write(repo, "main\n")
    repo.commit()
    repo.git("push", "--quiet")
    repo.git("merge", "--quiet", "--no-edit", "side")
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_shallow_clone(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """In a shallow clone both a pushed and an unpushed commit are carried."""
    repo.commit()
    add_remote(repo, tmp_path / "remote.git")
    repo.git("clone", "--quiet", "--depth=1", f"file://{tmp_path}/remote.git", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    assert round_trip(shallow.root, store, tmp_path / "out") == tree_of(shallow.root)
    _write(shallow, "unpushed\n")
    shallow.commit()
    assert round_trip(shallow.root, store, tmp_path / "out2") == tree_of(shallow.root)


def test_shallow_clone_without_remote_is_refused(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A cut-off history that no remote has could never be rebuilt."""
    repo.commit()
    repo.git("clone", "--quiet", "--depth=1", f"file://{repo.root}", str(tmp_path / "shallow"))
    shallow = Repo(tmp_path / "shallow")
    shallow.git("remote", "remove", "origin")
    with pytest.raises(Exception, match="the clone is shallow"):
        capture(shallow.root, store)


def test_commit_inside_the_history(repo: Repo, store: JobStore, tmp_path: Path, user_config: Path) -> None:
    """A server that gives out branches only is asked for its whole history."""
    commit = repo.git("rev-parse", "HEAD").strip()
    _write(repo, "later\n")
    repo.commit()
    add_remote(repo, tmp_path / "remote.git")
    repo.git("checkout", "--quiet", commit)
    user_config.write_text("[protocol]\n version = 0\n")
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_branch_remote_goes_before_origin(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """Of two remotes that have the commit, the branch's own is named."""
    add_remote(repo, tmp_path / "remote.git")
    add_remote(repo, tmp_path / "fork.git", "fork")
    assert capture(repo.root, store).origin.remote == str(tmp_path / "fork.git")


def test_remote_with_the_commit_goes_first(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A remote that has the commit goes before one that has not."""
    add_remote(repo, tmp_path / "fork.git", "fork")
    add_remote(repo, tmp_path / "remote.git")
    _write(repo, "more\n")
    repo.commit()
    repo.git("push", "--quiet", "fork", "main")
    origin = capture(repo.root, store).origin
    assert (origin.remote, origin.bundle) == (str(tmp_path / "fork.git"), None)


def test_credentials_are_not_stored(repo: Repo, store: JobStore, user_config: Path, tmp_path: Path) -> None:
    """A password in a remote's address, even one that the user's configuration puts in, goes nowhere."""
    user_config.write_text('[url "https://me:hunter2@example.org/"]\n insteadOf = gh:\n')
    repo.git("remote", "add", "origin", "gh:team/project.git")
    version = capture(repo.root, store)
    assert version.origin.remote == "https://example.org/team/project.git"
    assert not any(b"hunter2" in data for _, data in tree_of(tmp_path / "store").values())


URLS = {
    "https://example.org/a.git": "https://example.org/a.git",
    "https://token@example.org/a.git": "https://example.org/a.git",
    "https://me:p%40ss@example.org:8443/a.git?token=x#y": "https://example.org:8443/a.git",
    "ssh://git:secret@example.org:22/a.git": "ssh://git@example.org:22/a.git",
    "git@example.org:team/a.git": "git@example.org:team/a.git",
    "file:///srv/a.git": "file:///srv/a.git",
    "/srv/./a.git": "/srv/a.git",
    "../a.git": "/work/a.git",
    "./with:colon": "/work/repo/with:colon",
    "ext::sh -c touch% /tmp/x": None,
    "::x": None,
    "s3://bucket/a.git": None,
    "--upload-pack=touch /tmp/x": None,
    "ssh://-oProxyCommand=x/a": None,
    "https://exam\nple.org/": None,
}


@pytest.mark.parametrize("url", URLS)
def test_address_is_cleaned(url: str) -> None:
    """Secrets are cut out; kinds that git would run a program for are no remote."""
    assert clean_url(url, Path("/work/repo")) == URLS[url]


def test_remote_of_another_kind_is_no_remote(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A commit whose only remote cannot be fetched from elsewhere is bundled whole."""
    add_remote(repo, tmp_path / "remote.git")
    repo.git("remote", "set-url", "origin", "ext::cat /dev/null")
    origin = capture(repo.root, store).origin
    assert origin.remote is None
    assert origin.bundle is not None


@pytest.mark.parametrize(
    "url",
    ["ext::sh -c touch% {ran}", "--upload-pack=touch {ran}", "-u{ran}", "relative/path", "ssh://-oProxyCommand=x/y"],
)
def test_checkout_refuses_remotes_that_run_programs(repo: Repo, store: JobStore, tmp_path: Path, url: str) -> None:
    """A manifest from elsewhere cannot make the agent run something by its remote."""
    add_remote(repo, tmp_path / "remote.git")
    ran = tmp_path / "ran"
    version = _with_origin(capture(repo.root, store), remote=url.format(ran=ran))
    with pytest.raises(Refused, match="no git remote"):
        checkout(version, store, tmp_path / "out")
    assert not ran.exists()


def test_rewritten_remote_cannot_run_programs(repo: Repo, store: JobStore, tmp_path: Path, user_config: Path) -> None:
    """Not even by `insteadOf`, and not when the user allowed such transports elsewhere."""
    ran = tmp_path / "ran"
    user_config.write_text(
        f'[url "ext::touch {ran} ;"]\n insteadOf = https://example.invalid/\n[protocol "ext"]\n allow = always\n'
    )
    add_remote(repo, tmp_path / "remote.git")
    version = _with_origin(capture(repo.root, store), remote="https://example.invalid/x")
    with pytest.raises(Unavailable, match="not allowed"):
        checkout(version, store, tmp_path / "out")
    assert not ran.exists()


def test_remote_that_is_gone(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A remote that does not answer is unavailable, and nothing is written."""
    add_remote(repo, tmp_path / "remote.git")
    version = capture(repo.root, store)
    shutil.rmtree(tmp_path / "remote.git")
    with pytest.raises(Unavailable, match=r"cannot fetch from .*remote\.git"):
        checkout(version, store, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_remote_that_lost_the_commit(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A remote without the commit is named, with the commit."""
    add_remote(repo, tmp_path / "remote.git")
    version = capture(repo.root, store)
    shutil.rmtree(tmp_path / "remote.git")
    repo.git("init", "--quiet", "--bare", str(tmp_path / "remote.git"))
    with pytest.raises(StoreError, match=r"remote\.git has no commit [0-9a-f]{40} any more"):
        checkout(version, store, tmp_path / "out")


def test_snapshot_of_a_remote(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A branch of a remote becomes a job without anyone's checkout."""
    add_remote(repo, tmp_path / "remote.git")
    expected = tree_of(repo.root)
    with snapshot_remote(str(tmp_path / "remote.git"), "main") as snapshot:
        assert {entry.path: (entry.mode, snapshot.read(entry.path)) for entry in snapshot.files} == expected
        assert tree_of(snapshot.root) == expected
        version = version_of(snapshot)
    assert not snapshot.root.exists()
    assert version.digest == capture(repo.root, store).digest
    checkout(version, store, tmp_path / "out")
    assert tree_of(tmp_path / "out") == expected


def test_snapshot_of_a_commit_of_a_remote(repo: Repo, tmp_path: Path) -> None:
    """A full commit id names what to take, too; the default is the remote's own branch."""
    first = repo.git("rev-parse", "HEAD").strip()
    _write(repo, "second\n")
    second = repo.commit()
    add_remote(repo, tmp_path / "remote.git")
    with snapshot_remote(str(tmp_path / "remote.git"), first) as snapshot:
        assert snapshot.read("train.py") == b"print('one')\nprint('two')\n"
    with snapshot_remote(str(tmp_path / "remote.git")) as snapshot:
        assert snapshot.source.model_dump()["commit"] == second


def test_snapshot_of_an_unknown_branch(repo: Repo, tmp_path: Path) -> None:
    """A branch that the remote does not have is named."""
    add_remote(repo, tmp_path / "remote.git")
    with pytest.raises(Unavailable, match="nowhere"):
        snapshot_remote(str(tmp_path / "remote.git"), "nowhere")


def test_a_remote_with_a_submodule_says_how_to_capture_it(repo: Repo, tmp_path: Path) -> None:
    """Its files are in another repository: a clone that has them is captured whole."""
    commit = repo.git("rev-parse", "HEAD").strip()
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},libs/other")
    repo.git("commit", "--quiet", "--message", "with a submodule")
    add_remote(repo, tmp_path / "remote.git")

    with pytest.raises(CaptureError, match=r"has the submodule 'libs/other'.*--recurse-submodules"):
        snapshot_remote(str(tmp_path / "remote.git"))
