"""Rows B17 to B23: how a work tree is put together, and how much is in it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from launch_jobs.capture.limits import Limits
from tests.sources.repositories import Repo, new_repo, tree_of
from tests.torture.bench import Bench, Case, Row, noted, same

_OPEN = ("-c", "protocol.file.allow=always")


def _module(bench: Bench, name: str = "module") -> Repo:
    module = new_repo(bench.tmp / name)
    (module.root / "lib.py").write_text("x = 1\n")
    (module.root / ".gitignore").write_text("*.o\n")
    module.commit()
    return module


def _with_submodule(bench: Bench, path: str = "vendored") -> Path:
    bench.repo.git(*_OPEN, "submodule", "--quiet", "add", str(_module(bench).root), path)
    bench.repo.commit()
    return bench.root / path


def _clean_submodule(bench: Bench) -> None:
    _with_submodule(bench)
    noted(bench.exact(), "'vendored'", "commit ", "travels as plain files")


def _dirty_submodule(bench: Bench) -> None:
    inside = _with_submodule(bench)
    (inside / "lib.py").write_text("x = 2\n")
    (inside / "new.py").write_text("y\n")
    (inside / "run.sh").write_text("#!/bin/sh\n")
    (inside / "run.sh").chmod(0o755)
    bench.exact()


def _ignored_in_submodule(bench: Bench) -> None:
    (_with_submodule(bench) / "x.o").write_text("x")
    assert "vendored/x.o" not in bench.checkout(bench.capture())


def _nested_submodule(bench: Bench) -> None:
    inside = Repo(_with_submodule(bench))
    inside.git(*_OPEN, "submodule", "--quiet", "add", str(_module(bench, "deeper").root), "deep/er")
    inside.git("commit", "--quiet", "-m", "deeper")
    (inside.root / "deep" / "er" / "lib.py").write_text("dirty\n")
    assert bench.checkout(bench.exact())["vendored/deep/er/lib.py"] == ("644", b"dirty\n")


def _uninitialised_submodule(bench: Bench) -> None:
    _with_submodule(bench)
    bench.repo.git("submodule", "--quiet", "deinit", "--force", "vendored")
    noted(bench.exact(), "'vendored' is not initialised")


def _submodule_without_repository(bench: Bench) -> None:
    """Files that somebody copied to where the submodule would be."""
    inside = _with_submodule(bench)
    (inside / ".git").unlink()
    bench.exact()


def _odd_submodules(bench: Bench) -> None:
    """Addresses that would start programs, and a path with a carriage return, are only text to us."""
    _with_submodule(bench, "odd\rname")
    modules = bench.root / ".gitmodules"
    text = modules.read_text()
    for url in ("-u./x", "ext::touch ran", "../x"):
        modules.write_text(text + f'[submodule "x"]\n path = x\n url = {url}\n')
        bench.exact()
    assert not list(bench.tmp.rglob("ran"))


def _broken_submodule(bench: Bench) -> None:
    inside = _with_submodule(bench)
    (inside / ".git").unlink()
    (inside / ".git").mkdir()
    with bench.refused("'vendored' in .* is no whole git repository"):
        bench.capture()


def _linked_worktree(bench: Bench) -> None:
    bench.repo.git("worktree", "add", "--quiet", "-b", "side", str(bench.tmp / "side"))
    (bench.tmp / "side" / "train.py").write_text("of the side\n")
    bench.exact(bench.tmp / "side")


def _inner_repository(bench: Bench) -> None:
    inner = new_repo(bench.root / "inner")
    (inner.root / "lib.py").write_text("committed")
    inner.commit()
    (inner.root / "lib.py").write_text("dirty")
    new_repo(bench.root / "empty")
    noted(bench.exact(), "inner repository 'inner'")


def _git_dir_set(bench: Bench) -> None:
    bench.write("train.py", "dirty\n")
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR"):
        bench.monkeypatch.setenv(name, "/nowhere")
    expected = tree_of(bench.root)
    same(bench.checkout(bench.capture()), expected)


def _bare(bench: Bench) -> None:
    bench.repo.git("clone", "--quiet", "--bare", ".", str(bench.tmp / "bare"))
    with bench.refused("own folder or a bare one.*Name a checkout"):
        bench.capture(bench.tmp / "bare")


def _worktree_without_repository(bench: Bench) -> None:
    bench.repo.git("worktree", "add", "--quiet", str(bench.tmp / "side"))
    bench.root.rename(bench.tmp / "moved")
    with bench.refused("cannot read the repository"):
        bench.capture(bench.tmp / "side")


def _foreign(bench: Bench) -> None:
    if os.geteuid() != 0:
        pytest.skip("giving a folder away needs root")
    for path in (bench.root, bench.root / ".git"):
        os.chown(path, 12345, 12345)
    with bench.refused("dubious ownership"):
        bench.capture()
    assert not (bench.home / ".gitconfig").exists()


def _in_progress(what: str) -> Case:
    def case(bench: Bench) -> None:
        bench.repo.git("checkout", "--quiet", "-b", "other")
        bench.write("train.py", "theirs\n")
        bench.repo.commit()
        bench.repo.git("checkout", "--quiet", "main")
        bench.write("train.py", "ours\n")
        bench.repo.commit()
        commands = {
            "merge": ("merge", "other"),
            "rebase": ("rebase", "other"),
            "cherry-pick": ("cherry-pick", "other"),
            "bisect": ("bisect", "start"),
        }
        try:
            bench.repo.git(*commands[what])
        except subprocess.CalledProcessError:
            assert what != "bisect"
        with bench.refused(f"a {what} is in progress.*Finish the {what}"):
            bench.capture()

    return case


def _stash_in_conflict(bench: Bench) -> None:
    bench.write("train.py", "stashed\n")
    bench.repo.git("stash", "--quiet")
    bench.write("train.py", "committed\n")
    bench.repo.commit()
    with pytest.raises(subprocess.CalledProcessError):
        bench.repo.git("stash", "pop")
    with bench.refused("'train.py' in .* is in conflict"):
        bench.capture()


def _told_not_to_look(bench: Bench) -> None:
    bench.repo.git("update-index", "--assume-unchanged", "train.py")
    bench.repo.git("update-index", "--skip-worktree", "run.sh")
    bench.write("train.py", "changed\n")
    bench.write("run.sh", "changed\n")
    noted(bench.exact(), "not to look at 2 files ('run.sh', 'train.py')")


def _sparse(*options: str) -> Case:
    def case(bench: Bench) -> None:
        bench.write("other/x.py", "x")
        bench.repo.commit()
        bench.repo.git("sparse-checkout", "set", *options)
        bench.write("train.py", "dirty\n")
        noted(bench.exact(), "sparse checkout leaves out")

    return case


def _split_index(bench: Bench) -> None:
    bench.repo.git("update-index", "--split-index")
    bench.repo.git("config", "core.untrackedCache", "true")
    bench.write("train.py", "dirty\n")
    bench.exact()


def _programs_of_the_repository(bench: Bench) -> None:
    """Every place where a repository can name a program names one that leaves a mark."""
    ran = bench.tmp / "ran"
    hooks = bench.root / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-index-change", "post-checkout", "pre-commit", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    bench.repo.git("remote", "add", "origin", "ssh://git@example.org/x.git")
    for key in ("fsmonitor", "sshCommand", "pager", "editor", "askPass", "gitProxy"):
        bench.repo.git("config", f"core.{key}", f"touch {ran};")
    for key in ("credential.helper", "diff.external", "alias.ls-files", "uploadpack.packObjectsHook"):
        bench.repo.git("config", key, f"!touch {ran};")
    bench.repo.git("-c", "core.fsmonitor=false", "config", "core.hooksPath", str(hooks))
    ran.unlink(missing_ok=True)
    bench.write("train.py", "dirty\n")
    before = bench.repo.state()
    expected = tree_of(bench.root)
    same(bench.checkout(bench.capture()), expected)
    assert not ran.exists()
    assert bench.repo.state() == before


def _too_much(limits: Limits, message: str, *, git: bool) -> Case:
    def case(bench: Bench) -> None:
        if not git:
            shutil.rmtree(bench.root / ".git")
        for number in range(12):
            bench.write(f"data/{number}.bin", b"x" * 1000 * (number + 1))
        with bench.refused(message) as refusal:
            bench.capture(limits=limits)
        assert refusal.said.count(" bytes)") <= 10

    return case


def _tracked_and_too_much(bench: Bench) -> None:
    bench.write("data.bin", b"x" * 5000)
    bench.repo.commit()
    bench.write("data.bin", b"y" * 5001)
    with bench.refused(r"the file 'data\.bin' in .* has 5,001 bytes"):
        bench.capture(limits=Limits(single=5000))


def _committed_counts_not(bench: Bench) -> None:
    bench.write("data.bin", b"x" * 5000)
    bench.repo.commit()
    bench.capture(limits=Limits(files=1, total=10, single=10))


_COUNT = (Limits(files=8), r"more files than the limit of 8.*the most so far: '")
_TOTAL = (Limits(total=50_000), r"limit of 50,000.*LAUNCH_JOBS_SOURCE_LIMIT_BYTES; the largest so far: '")
_SINGLE = (Limits(single=11_999), r"the file 'data/11\.bin' in .* has 12,000 bytes.* 11,999")

ROWS = {
    "B17": Row(
        "submodules",
        {
            "clean": _clean_submodule,
            "dirty": _dirty_submodule,
            "ignored files": _ignored_in_submodule,
            "nested": _nested_submodule,
            "uninitialised": _uninitialised_submodule,
            "files without repository": _submodule_without_repository,
            "odd addresses and paths": _odd_submodules,
        },
        {"broken": _broken_submodule},
    ),
    "B18": Row(
        "work trees, bare and inner repositories, GIT_DIR",
        {"linked work tree": _linked_worktree, "inner repository": _inner_repository, "GIT_DIR": _git_dir_set},
        {"bare": _bare, "work tree without its repository": _worktree_without_repository},
    ),
    "B19": Row("repository of another user", {}, {"safe.directory": _foreign}),
    "B20": Row(
        "merge, rebase or bisect in progress",
        {},
        {
            **{what: _in_progress(what) for what in ("merge", "rebase", "cherry-pick", "bisect")},
            "stash in conflict": _stash_in_conflict,
        },
    ),
    "B21": Row(
        "assume-unchanged, skip-worktree, sparse checkout, split index",
        {
            "told not to look": _told_not_to_look,
            "sparse": _sparse("--no-cone", "/train.py", "/run.sh"),
            "sparse index": _sparse("--cone", "--sparse-index", "package"),
            "split index": _split_index,
        },
        {},
    ),
    "B22": Row("hooks and programs that a repository names", {"never run": _programs_of_the_repository}, {}),
    "B23": Row(
        "too many files, too much data",
        {"the commit's own do not count": _committed_counts_not},
        {
            "count": _too_much(*_COUNT, git=True),
            "total": _too_much(*_TOTAL, git=True),
            "single": _too_much(*_SINGLE, git=True),
            "tracked": _tracked_and_too_much,
            "count without git": _too_much(*_COUNT, git=False),
            "total without git": _too_much(*_TOTAL, git=False),
            "single without git": _too_much(*_SINGLE, git=False),
        },
    ),
}
