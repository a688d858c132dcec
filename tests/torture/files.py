"""Rows B24 to B31: what kinds of files there are, what happens to them meanwhile, which are source."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from launch_jobs.capture.ignore import IgnoreRules
from launch_jobs.capture.tree import walk
from tests.sources.repositories import tree_of
from tests.torture.bench import Bench, Case, Row, noted, same


def _without_git(case: Case) -> Case:
    def other(bench: Bench) -> None:
        shutil.rmtree(bench.root / ".git")
        case(bench)

    return other


def _sparse_file(bench: Bench) -> None:
    with (bench.root / "sparse.bin").open("wb") as sparse:
        sparse.truncate(1 << 20)
    bench.exact()


def _special(bench: Bench) -> None:
    expected = tree_of(bench.root)
    os.mkfifo(bench.root / "pipe")
    bench.monkeypatch.chdir(bench.root)  # the path of a socket has at most 107 bytes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("sock")
        version = bench.capture()
    same(bench.checkout(version), expected)
    if version.origin.archive:
        noted(version, "'pipe' is a socket, pipe or device", "'sock'")


def _pipe_for_file(bench: Bench) -> None:
    (bench.root / "train.py").unlink()
    expected = tree_of(bench.root)
    os.mkfifo(bench.root / "train.py")
    version = bench.capture()
    same(bench.checkout(version), expected)
    noted(version, "'train.py' is a socket, pipe or device", "left out")


def _links(bench: Bench) -> None:
    for name, target in (
        ("dangling", "nowhere/at all"),
        ("loop", "loop"),
        ("ring-a", "ring-b"),
        ("ring-b", "ring-a"),
        ("folder", "./package/"),
        ("package/up", "../train.py"),
        ("dots", "package/../run.sh"),
    ):
        (bench.root / name).symlink_to(target)
    bench.exact()


def _committed_link_out(bench: Bench) -> None:
    (bench.root / "data").symlink_to("/srv/data")
    bench.repo.commit()
    noted(bench.exact(), "committed link 'data' points outside, to '/srv/data'")


def _link_out(target: str) -> Case:
    def case(bench: Bench) -> None:
        (bench.root / "data").symlink_to(target)
        with bench.refused(f"the link 'data' in .* points outside, to '{target}'.*name its target as a dataset"):
            bench.capture()

    return case


def _owned(bench: Bench) -> None:
    """Hard links, set-user-id bits, odd permissions and owners: content once more, git's two modes."""
    (bench.root / "same.py").hardlink_to(bench.root / "train.py")
    bench.write("tool", "#!/bin/sh\n").chmod(0o6755)
    bench.write("secretive", "x").chmod(0o600)
    bench.write("open", "x").chmod(0o666)
    if os.geteuid() == 0:
        os.chown(bench.root / "open", 12345, 12345)
    bench.exact()
    assert not (bench.tmp / "out" / "tool").stat().st_mode & 0o6000


def _keeps_changing(bench: Bench) -> None:
    over = threading.Event()

    def write() -> None:
        with (bench.root / "log.txt").open("w", buffering=1) as log:
            while not over.wait(0.0005):
                log.write("line\n")

    bench.write("log.txt", "")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        with bench.refused(r"log\.txt' keeps changing while it is captured"):
            bench.capture()
    finally:
        over.set()
        writer.join()


_CAPTURE = """
import os, sys, encodings.utf_8_sig, pathspec, launch_jobs.job, launch_jobs.settings
from pathlib import Path
from launch_jobs.capture import code, git_snapshot
from launch_jobs.capture.source import snapshot_source
from launch_jobs.errors import LaunchError
from launch_jobs.store.jobs import open_store
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    snapshot_source(Path(sys.argv[1]), open_store(Path(sys.argv[2]).as_uri()))
except LaunchError as error:
    print(error)
    raise SystemExit(error.exit_code)
"""


def _unreadable(bench: Bench) -> None:
    """As an ordinary user, for root can read everything."""
    bench.write("closed.txt").chmod(0)
    (bench.tmp / "mine").mkdir()
    if os.geteuid() == 0:
        for path in (bench.root, *bench.root.rglob("*"), bench.tmp / "mine", bench.home):
            os.chown(path, 65534, 65534, follow_symlinks=False)
        for folder in (bench.tmp, *bench.tmp.parents):
            if folder.stat().st_uid == 0 and not folder.stat().st_mode & 0o001:
                folder.chmod(folder.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", _CAPTURE, str(bench.root), str(bench.tmp / "mine" / "store")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=bench.root,
        env={**os.environ, "LAUNCH_JOBS_HOME": str(bench.tmp / "mine")},  # ours may be closed to that user
    )
    assert (done.returncode, "closed.txt' cannot be read: Permission denied" in done.stdout) == (2, True), done


def _unreadable_device(bench: Bench) -> None:
    """An I/O error, as /proc gives it for memory that is not there: named, not called a change."""
    from launch_jobs.capture.tree import see

    with bench.refused(r"mem' cannot be read: Input/output error"):
        see(Path("/proc/self"), "mem")


_RULES = {
    ".gitignore": "*.log\n/data/\nbuild\n!keep.log\n**/cache/**\n",
    ".launchignore": "private.txt\nsub/**/x.py\n!data.csv\n",
    "sub/.gitignore": "!*.log\nlocal\n",
    "sub/.launchignore": "notes.md\n",
}
_THERE = {
    "a.log": False,
    "keep.log": True,
    "data/x": False,
    "sub/data/y": True,
    "sub/b.log": True,
    "sub/local": False,
    "sub/build/z": False,
    "private.txt": False,
    "sub/private.txt": False,
    "sub/deep/x.py": False,
    "sub/notes.md": False,
    "notes.md": True,
    "a/cache/b": False,
    "x.py": True,
}


def _rules(bench: Bench) -> None:
    """The same rule files mean the same with git and without."""
    for path, text in _RULES.items():
        bench.write(path, text)
    for path in _THERE:
        bench.write(path)
    bench.write(".prefectignore", "x.py\n")
    carried = bench.checkout(bench.capture())
    assert {path: path in carried for path in _THERE} == _THERE
    if bench.root.joinpath(".git").exists():
        listed = set(walk(bench.root, IgnoreRules(bench.root).keep))
        assert listed == set(carried)


def _docker_rules(bench: Bench) -> None:
    """`.dockerignore` counts where there is no git: there it is the project's only word on what belongs to it."""
    bench.write(".dockerignore", "*\n!src\nsrc/*.tmp\n")
    bench.write(".launchignore", "!train.py\n")
    for path in ("src/a.py", "src/b.tmp", "src/deep/c.tmp"):
        bench.write(path)
    assert set(bench.checkout(bench.capture())) == {"src/a.py", "src/deep/c.tmp", "train.py"}


def _not_text(bench: Bench) -> None:
    (bench.root / ".launchignore").write_bytes(b"\xff\xfe\0")
    bench.write("new.py")
    with bench.refused(r"cannot read .*\.launchignore'"):
        bench.capture()


def _message(bench: Bench) -> None:
    """Neither a huge message nor one that paints the terminal reaches the job."""
    for text in ("\x1b]0;owned\x07\x1b[31mred\x1b[0m\rback", "x" * (1 << 20)):
        (bench.tmp / "message").write_text(text)
        bench.repo.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file", str(bench.tmp / "message"))
        bench.write("train.py", text[:5])
        stored = bench.exact().model_dump_json()
        assert "\\u001b" not in stored
        assert len(stored) < 5000


def _mounted(bench: Bench) -> None:
    """A kernel's file system inside the tree is no source, with git and without."""
    inside = bench.root / "mounted"
    inside.mkdir()
    done = subprocess.run(["mount", "-t", "proc", "none", str(inside)], check=False, capture_output=True, timeout=10)
    if done.returncode:
        pytest.skip("mounting needs root")
    try:
        version = bench.capture()
    finally:
        subprocess.run(["umount", str(inside)], check=True, timeout=10)
    assert not [path for path in bench.checkout(version) if path.startswith("mounted")]
    noted(version, "'mounted' is a proc file system")


ROWS = {
    "B24": Row(
        "sparse file, pipe, socket, device, /proc mounted inside",
        {
            "sparse": _sparse_file,
            "sparse without git": _without_git(_sparse_file),
            "pipe and socket": _special,
            "pipe and socket without git": _without_git(_special),
            "pipe in a file's place": _pipe_for_file,
            "mounted inside": _mounted,
            "mounted inside, without git": _without_git(_mounted),
        },
        {},
    ),
    "B25": Row(
        "symbolic links",
        {"inside": _links, "inside, without git": _without_git(_links), "committed, to outside": _committed_link_out},
        {
            "absolute": _link_out("/etc/hostname"),
            "to outside": _link_out("../outside"),
            "absolute, without git": _without_git(_link_out("/etc/hostname")),
            "to outside, without git": _without_git(_link_out("package/../../outside")),
        },
    ),
    "B26": Row("hard links, set-user-id, owners", {"git": _owned, "without git": _without_git(_owned)}, {}),
    "B27": Row(
        "file that changes meanwhile",
        {},
        {"git": _keeps_changing, "without git": _without_git(_keeps_changing)},
    ),
    "B28": Row(
        "unreadable file",
        {},
        {"git": _unreadable, "without git": _without_git(_unreadable), "I/O error": _unreadable_device},
    ),
    "B30": Row(
        "ignore files that disagree",
        {"git": _rules, "without git": _without_git(_rules), ".dockerignore": _without_git(_docker_rules)},
        {"not text": _not_text, "not text, without git": _without_git(_not_text)},
    ),
    "B31": Row("commit message with control characters, 1 MB", {"not in the job": _message}, {}),
}
