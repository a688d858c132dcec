"""Build contexts: the same tree gives the same bytes."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

from launch_jobs.build.context import DOCKERFILE, write_context


def context(tree: Path | None = None, prefix: str = "source", files: dict[str, str] | None = None) -> bytes:
    """The context as bytes."""
    into = io.BytesIO()
    write_context(into, "FROM a\n", files or {}, (tree, prefix) if tree else None)
    return into.read()


def names(data: bytes) -> list[str]:
    """The paths in a context, in order."""
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return tar.getnames()


def fill(root: Path, reverse: bool = False) -> Path:
    """A small tree with a script, a link and odd names."""
    root.mkdir()
    for name in sorted(["b.py", "a/deep.py", "é ü", "Dockerfile"], reverse=reverse):
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(name)
    (root / "b.py").chmod(0o700)
    (root / "link").symlink_to("../nowhere")
    return root


def test_equal_trees_give_equal_bytes(tmp_path: Path) -> None:
    """Times, owners, umask and the order of creation do not count."""
    one, other = fill(tmp_path / "one"), fill(tmp_path / "other", reverse=True)
    os.utime(other / "b.py", (1, 1))
    (other / "a/deep.py").chmod(0o600)
    assert context(one) == context(other)


def test_the_tree_lies_under_its_folder(tmp_path: Path) -> None:
    """A Dockerfile or ignore file of the tree is not the build's."""
    tree = fill(tmp_path / "tree")
    (tree / ".dockerignore").write_text("*")
    found = names(context(tree, files={"launch/x": "1"}))
    assert DOCKERFILE in found
    assert "launch/x" in found
    assert {"source", "source/b.py", "source/a/deep.py", "source/é ü", "source/link"} <= set(found)


def test_executables_and_links_stay_what_they_are(tmp_path: Path) -> None:
    """Modes are git's: executable or not; a link is its target's text."""
    with tarfile.open(fileobj=io.BytesIO(context(fill(tmp_path / "tree")))) as tar:
        assert tar.getmember("source/b.py").mode == 0o755
        assert tar.getmember("source/a/deep.py").mode == 0o644
        assert tar.getmember("source/link").linkname == "../nowhere"


def test_an_own_dockerfiles_context_honours_its_ignore_file(tmp_path: Path) -> None:
    """The tree lies at the top, without what .dockerignore leaves out, and never with .git."""
    tree = fill(tmp_path / "tree")
    (tree / ".git").mkdir()
    (tree / ".git/config").write_text("x")
    (tree / ".dockerignore").write_text("# comment\n**/*.py\n!b.py\n")
    found = names(context(tree, ""))
    assert "b.py" in found
    assert "a/deep.py" not in found
    assert not any(name.startswith(".git/") for name in found)
