"""Compiled modules beside the source, which git ignores: without them an editable package does not import elsewhere."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from launch_jobs.capture.source import snapshot_source
from launch_jobs.store.jobs import open_store

MODULE = "core.cpython-311-x86_64-linux-gnu.so"


def captured(root: Path, ignored: str, *, git: bool) -> set[str]:
    """The source paths of a repository or folder with a package, its compiled module and copies of it."""
    for path in (
        f"pkg/{MODULE}",
        f"build/lib/pkg/{MODULE}",
        f".venv/lib/{MODULE}",
        "pkg/__init__.py",
        "pkg/libother.so",
    ):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"")
    (root / ".gitignore").write_text("*.so\nbuild/\n.venv/\n")
    (root / ".launchignore").write_text(ignored)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "begin"]) if git else ():
        subprocess.run(["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *words], cwd=root, check=True)
    with snapshot_source(root, open_store((root.parent / "store").as_uri())) as snapshot:
        return {entry.path for entry in snapshot.files} - {".gitignore", ".launchignore"}


@pytest.mark.parametrize("git", [True, False], ids=["git", "folder"])
def test_a_compiled_module_beside_source_is_source(tmp_path: Path, git: bool) -> None:
    """But not copies of it in folders without source, nor libraries that are no module."""
    assert captured(tmp_path / "tree", "", git=git) == {"pkg/__init__.py", f"pkg/{MODULE}"}


@pytest.mark.parametrize("git", [True, False], ids=["git", "folder"])
def test_launchignore_leaves_it_out(tmp_path: Path, git: bool) -> None:
    """The user's own word for this program goes before."""
    assert captured(tmp_path / "tree", "*.so\n", git=git) == {"pkg/__init__.py"}
