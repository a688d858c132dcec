"""Rows B01 to B08: what a folder's history and remotes are like."""

from __future__ import annotations

import shutil
from pathlib import Path

from launch_jobs.capture.untracked import capture_git
from launch_jobs.job import CodeSource, JobVersion
from tests.sources.repositories import Repo, add_remote, new_repo, tree_of
from tests.torture.bench import Bench, Row, noted


def _plain_folder(bench: Bench) -> None:
    shutil.rmtree(bench.root / ".git")
    assert isinstance(bench.exact().job.source, CodeSource)


def _asked_for_git(bench: Bench) -> None:
    shutil.rmtree(bench.root / ".git")
    with bench.refused("in no git repository with a commit.*launch job create code"):
        capture_git(bench.root, ["python3", "train.py"], store=bench.store)


def _no_commit(bench: Bench) -> None:
    bare = new_repo(bench.tmp / "fresh")
    (bare.root / "train.py").write_text("x")
    bare.git("add", "train.py")
    (bare.root / "train.py").write_text("y")
    assert isinstance(bench.exact(bare.root).job.source, CodeSource)


def _detached(bench: Bench) -> None:
    first = bench.repo.git("rev-parse", "HEAD").strip()
    bench.write("train.py", "later\n")
    bench.repo.commit()
    bench.repo.git("checkout", "--quiet", first)
    bench.write("train.py", "dirty\n")
    assert bench.exact().job.source.model_dump()["commit"] == first


def _unpushed(bench: Bench, *, dirty: bool) -> JobVersion:
    """Three commits after the newest that the remote has; its old history is large."""
    bench.write("old.bin", bytes(range(256)) * 400)
    bench.repo.commit()
    bench.write("old.bin", "small now")
    bench.repo.commit()
    add_remote(bench.repo, bench.tmp / "remote.git")
    for text in ("one\n", "two\n", "three\n"):
        bench.write("train.py", text)
        bench.repo.commit()
    if dirty:
        bench.write("train.py", "uncommitted\n")
    return bench.exact()


def _anchored(bench: Bench) -> None:
    version = _unpushed(bench, dirty=True)
    newest = bench.repo.git("rev-parse", "origin/main").strip()
    assert version.origin.bundle
    bench.store.get_blob(version.origin.bundle, bench.tmp / "bundle")
    header = (bench.tmp / "bundle").read_bytes().partition(b"\n\n")[0].decode().splitlines()
    assert [line[1:41] for line in header if line.startswith("-")] == [newest]
    assert (bench.tmp / "bundle").stat().st_size < 3000


def _diverged(bench: Bench) -> None:
    add_remote(bench.repo, bench.tmp / "remote.git")
    common = bench.repo.git("rev-parse", "HEAD").strip()
    bench.write("train.py", "theirs\n")
    bench.repo.commit()
    bench.repo.git("push", "--quiet")
    bench.repo.git("reset", "--quiet", "--hard", common)
    bench.write("train.py", "ours\n")
    bench.repo.commit()
    assert bench.exact().origin.bundle


def _on_no_remote(bench: Bench) -> None:
    version = bench.exact()
    assert (version.origin.remote, bool(version.origin.bundle)) == (None, True)


def _remote_was_rewound(bench: Bench) -> None:
    """Our copies of its branches say that it has the commit, but somebody replaced them all."""
    add_remote(bench.repo, bench.tmp / "remote.git")
    version = bench.capture()
    shutil.rmtree(bench.tmp / "remote.git")
    new_repo(bench.tmp / "other").git("init", "--quiet", "--bare", str(bench.tmp / "remote.git"))
    with bench.refused(r"has no commit [0-9a-f]{40} any more"):
        bench.checkout(version)


def _cut_off(bench: Bench) -> None:
    bench.repo.commit()
    bench.repo.git("clone", "--quiet", "--depth=1", f"file://{bench.root}", str(bench.tmp / "shallow"))
    Repo(bench.tmp / "shallow").git("remote", "remove", "origin")
    with bench.refused("on no remote, and the clone is shallow.*--unshallow"):
        bench.capture(bench.tmp / "shallow")


def _remote_gone(bench: Bench) -> None:
    add_remote(bench.repo, bench.tmp / "remote.git")
    version = bench.capture()
    shutil.rmtree(bench.tmp / "remote.git")
    with bench.refused(r"cannot fetch from .*remote\.git", code=4):
        bench.checkout(version)


def _nobody_answers(bench: Bench) -> None:
    version = bench.capture()
    origin = version.origin.model_copy(update={"remote": "http://127.0.0.1:9/x.git", "bundle": None})
    with bench.refused("cannot fetch from http://127.0.0.1:9/x.git", code=4):
        bench.checkout(version.model_copy(update={"origin": origin}))


def _credentials(bench: Bench) -> None:
    bench.repo.git("remote", "add", "origin", "https://me:hunter2@example.org/team/project.git")
    bench.repo.git("remote", "add", "other", "https://ghp_hunter2@example.org/other.git")
    version = bench.exact()
    assert version.origin.remote == "https://example.org/team/project.git"
    noted(version, "'origin' holds credentials")
    assert "hunter2" not in version.model_dump_json()
    assert not any(b"hunter2" in data for _, data in tree_of(bench.tmp / "store").values())


def _rewritten(bench: Bench) -> None:
    (bench.home / ".gitconfig").write_text('[url "https://me:hunter2@example.org/"]\n insteadOf = gh:\n')
    bench.repo.git("remote", "add", "origin", "gh:team/project.git")
    bench.repo.git("remote", "set-url", "--push", "origin", "ssh://git@example.org/team/project.git")
    version = bench.exact()
    noted(version, "is written gh:team/project.git; git fetches from https://example.org/team/project.git")
    noted(version, "pushed to another address, ssh://git@example.org/team/project.git")
    assert "hunter2" not in version.model_dump_json()


def _one_of_several(bench: Bench) -> None:
    add_remote(bench.repo, bench.tmp / "a.git", "a")
    add_remote(bench.repo, bench.tmp / "origin.git")
    bench.write("train.py", "more\n")
    bench.repo.commit()
    bench.repo.git("push", "--quiet", "a", "main")
    assert bench.exact().origin.remote == str(bench.tmp / "a.git")


def _clone(bench: Bench, *options: str) -> Repo:
    bench.write("train.py", "second\n")
    bench.repo.commit()
    add_remote(bench.repo, bench.tmp / "remote.git")
    for setting in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
        Repo(bench.tmp / "remote.git").git("config", setting, "true")
    bench.repo.git("clone", "--quiet", *options, f"file://{bench.tmp}/remote.git", str(bench.tmp / "clone"))
    return Repo(bench.tmp / "clone")


def _shallow(bench: Bench) -> None:
    clone = _clone(bench, "--depth=1")
    (clone.root / "train.py").write_text("dirty\n")
    assert bench.exact(clone.root).origin.bundle is None


def _shallow_and_unpushed(bench: Bench) -> None:
    clone = _clone(bench, "--depth=1")
    (clone.root / "train.py").write_text("unpushed\n")
    clone.commit()
    assert bench.exact(clone.root).origin.bundle


def _partial(bench: Bench) -> None:
    clone = _clone(bench, "--filter=blob:none")
    (clone.root / "train.py").write_text("dirty\n")
    (clone.root / "dos.txt").unlink()
    bench.exact(clone.root)


def _partial_and_unpushed(bench: Bench) -> None:
    clone = _clone(bench, "--filter=blob:none")
    (clone.root / "train.py").write_text("unpushed\n")
    clone.commit()
    assert bench.exact(clone.root).origin.bundle


def _replaced(bench: Bench) -> None:
    real = bench.repo.git("rev-parse", "HEAD").strip()
    bench.write("train.py", "replacement\n")
    other = bench.repo.commit()
    bench.repo.git("reset", "--quiet", "--hard", real)
    bench.repo.git("replace", real, other)
    bench.exact()


def _grafted(bench: Bench) -> None:
    """A graft says that the remote's commit has ours for a parent, which is not so."""
    add_remote(bench.repo, bench.tmp / "remote.git")
    pushed = bench.repo.git("rev-parse", "HEAD").strip()
    bench.write("train.py", "unpushed\n")
    mine = bench.repo.commit()
    (Path(bench.root) / ".git" / "info" / "grafts").write_text(f"{pushed} {mine}\n{mine}\n")
    bench.exact()


ROWS = {
    "B01": Row("no git repository", {"captured as files": _plain_folder}, {"asked for git": _asked_for_git}),
    "B02": Row("repository without a commit", {"captured as files": _no_commit}, {}),
    "B03": Row("detached HEAD", {"dirty": _detached}, {}),
    "B04": Row(
        "commits on no remote",
        {
            "anchored on the newest pushed": _anchored,
            "clean": lambda bench: _unpushed(bench, dirty=False) and None,
            "diverged": _diverged,
            "no remote at all": _on_no_remote,
        },
        {"remote was rewound": _remote_was_rewound, "cut off and on no remote": _cut_off},
    ),
    "B05": Row("remote gone", {}, {"folder gone": _remote_gone, "nobody answers": _nobody_answers}),
    "B06": Row("password or token in a remote's URL", {"never stored": _credentials}, {}),
    "B07": Row("several remotes, pushurl, insteadOf", {"rewritten": _rewritten, "several": _one_of_several}, {}),
    "B08": Row(
        "shallow or partial clone, replace refs, grafts",
        {
            "shallow": _shallow,
            "shallow, unpushed": _shallow_and_unpushed,
            "partial": _partial,
            "partial, unpushed": _partial_and_unpushed,
            "replace ref": _replaced,
            "grafts": _grafted,
        },
        {},
    ),
}
