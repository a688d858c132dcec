"""Workload W6: ordinary repositories with one habit each, and one with nearly all of them. Each is made anew."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from peer_tools import call

AUTHOR = ("-c", "user.name=Fidelity", "-c", "user.email=fidelity@example.org", "-c", "protocol.file.allow=always")
PROGRAM = """import argparse

from lib.scale import scale

parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
args = parser.parse_args()
print(scale(args.lr))
"""


@dataclass(frozen=True)
class Row:
    """A kind of repository: what it is called, and what makes it so."""

    name: str
    make: Callable[[Path], Path | None]


def new_repository(row: Row, folder: Path) -> Path:
    """A repository of this kind; its remote, where it has one, is beside it."""
    root = folder / "repository"
    (root / "lib").mkdir(parents=True)
    (root / "train.py").write_text(PROGRAM)
    (root / "lib/__init__.py").touch()
    (root / "lib/scale.py").write_text("def scale(value):\n    return value * 2\n")
    (root / "notes.txt").write_text("one\ntwo\n")
    (root / "removed.txt").write_text("no longer wanted\n")
    (root / "latin.txt").write_bytes("caf\xe9\n".encode("latin-1"))
    (root / "data.csv").write_text("".join(f"{n},{n * n}\n" for n in range(1000)))
    _git(root, "init", "-q", "-b", "main")
    _commit(root, "first")
    _git(root.parent, "init", "-q", "--bare", "-b", "main", "remote.git")
    _git(root, "remote", "add", "origin", (folder / "remote.git").as_uri())
    _push(root)
    return row.make(root) or root


def _git(root: Path, *words: str) -> str:
    return call("git", *AUTHOR, *words, cwd=root)


def _commit(root: Path, message: str) -> None:
    _git(root, "add", "-A")
    _git(root, "commit", "-q", "-m", message)


def _push(root: Path) -> None:
    _git(root, "push", "-q", "-u", "origin", "main")


def _clean(_root: Path) -> None:
    """Nothing to add."""


def _modified(root: Path) -> None:
    (root / "train.py").write_text(PROGRAM + "# changed\n")


def _deleted(root: Path) -> None:
    (root / "removed.txt").unlink()


def _staged(root: Path) -> None:
    (root / "staged.py").write_text("STAGED = 1\n")
    _git(root, "add", "staged.py")


def _untracked(root: Path) -> None:
    (root / "newmod.py").write_text("NEW = 1\n")
    (root / "train.py").write_text("import newmod\n" + PROGRAM)


def _untracked_binary(root: Path) -> None:
    (root / "blob.bin").write_bytes(bytes(range(256)) * 16)


def _not_utf8(root: Path) -> None:
    (root / "latin.txt").write_bytes("caf\xe9 cr\xe8me\n".encode("latin-1"))
    (root / "notes.txt").write_text("one\nthree\n")


def _large_diff(root: Path) -> None:
    (root / "data.csv").write_text("".join(f"{n},{n * 3}\n" for n in range(60_000)))


def _unpushed(root: Path) -> None:
    (root / "notes.txt").write_text("committed, not pushed\n")
    _commit(root, "second")


def _submodule(root: Path) -> None:
    other = root.parent / "other"
    other.mkdir()
    (other / "part.py").write_text("PART = 1\n")
    _git(other, "init", "-q", "-b", "main")
    _commit(other, "part")
    _git(root, "submodule", "--quiet", "add", other.as_uri(), "vendor/other")
    _commit(root, "submodule")
    _push(root)


def _lfs_pointer(root: Path) -> None:
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 12345\n"
    (root / ".gitattributes").write_text("*.weights filter=lfs diff=lfs merge=lfs -text\n")
    (root / "model.weights").write_text(pointer)
    _commit(root, "pointer")
    _push(root)


def _symlink(root: Path) -> None:
    (root / "latest.txt").symlink_to("notes.txt")


def _executable(root: Path) -> None:
    (root / "train.py").chmod(0o755)


def _crlf(root: Path) -> None:
    (root / "notes.txt").write_bytes(b"one\r\ntwo\r\nthree\r\n")


def _renamed(root: Path) -> None:
    _git(root, "mv", "notes.txt", "remarks.txt")


def _odd_names(root: Path) -> None:
    (root / "été 2024").mkdir()
    (root / "été 2024" / "a b [1].txt").write_text("odd\n")
    (root / "tab\there.txt").write_text("odd\n")


def _nested(root: Path) -> Path:
    inner = root / "services" / "trainer"
    (inner / "lib").mkdir(parents=True)
    for path in ("train.py", "lib/__init__.py", "lib/scale.py"):
        (inner / path).write_text((root / path).read_text())
    _commit(root, "nested")
    _push(root)
    (root / "lib" / "scale.py").write_text("def scale(value):\n    return value * 3\n")
    (inner / "lib" / "scale.py").write_text("def scale(value):\n    return value * 4\n")
    return inner


def _notebook(root: Path) -> None:
    text = json.dumps({"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})
    (root / "explore.ipynb").write_text(text)


def _detached(root: Path) -> None:
    _unpushed(root)
    _push(root)
    _git(root, "checkout", "-q", "--detach", "HEAD~1")
    _modified(root)


def _no_remote(root: Path) -> None:
    _git(root, "remote", "remove", "origin")
    _modified(root)


def _shallow(root: Path) -> Path:
    _unpushed(root)
    _push(root)
    shallow = root.parent / "shallow"
    _git(root.parent, "clone", "-q", "--depth", "1", (root.parent / "remote.git").as_uri(), str(shallow))
    _modified(shallow)
    return shallow


def _new_ignore(root: Path) -> None:
    """Ignored files are no source: neither here nor there."""
    (root / ".gitignore").write_text("*.tmp\n")
    (root / "scratch.tmp").write_text("scratch\n")


def _ordinary(root: Path) -> None:
    """The repository of PEERS 5.3: all of the ordinary at once."""
    _unpushed(root)
    _untracked(root)
    _deleted(root)
    _staged(root)
    _untracked_binary(root)
    (root / "latin.txt").write_bytes("caf\xe9 cr\xe8me\n".encode("latin-1"))
    (root / "train.py").chmod(0o755)


ROWS = (
    Row("clean clone", _clean),
    Row("modified file", _modified),
    Row("deleted file", _deleted),
    Row("staged new file", _staged),
    Row("untracked module, imported", _untracked),
    Row("untracked binary file", _untracked_binary),
    Row("change that is not UTF-8", _not_utf8),
    Row("diff of 700 kB", _large_diff),
    Row("commit not pushed", _unpushed),
    Row("submodule", _submodule),
    Row("LFS pointer", _lfs_pointer),
    Row("symbolic link", _symlink),
    Row("executable bit", _executable),
    Row("CRLF", _crlf),
    Row("renamed file", _renamed),
    Row("names with blanks, accents, tabs", _odd_names),
    Row("nested package, changes above it", _nested),
    Row("notebook", _notebook),
    Row("detached HEAD", _detached),
    Row("no remote", _no_remote),
    Row("shallow clone", _shallow),
    Row("new .gitignore", _new_ignore),
    Row("the ordinary repository of 5.3", _ordinary),
)
