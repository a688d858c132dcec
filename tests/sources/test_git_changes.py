"""Every kind of uncommitted change comes out of the store byte for byte, whatever the user's git is told to do."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repositories import Repo, Tree, add_remote, capture, new_repo, put_tree, round_trip, tree_of

from launch_jobs.store.jobs import JobStore, open_store

Change = Callable[[Repo], object]


def _replace_file_by_link(repo: Repo) -> None:
    (repo.root / "train.py").unlink()
    (repo.root / "train.py").symlink_to("run.sh")


def _replace_link_by_file(repo: Repo) -> None:
    (repo.root / "latest").unlink()
    (repo.root / "latest").write_text("a file now")


def _replace_link_by_folder(repo: Repo) -> None:
    (repo.root / "latest").unlink()
    (repo.root / "latest").mkdir()
    (repo.root / "latest" / "inside").write_text("x")


def _replace_folder_by_file(repo: Repo) -> None:
    shutil.rmtree(repo.root / "package")
    (repo.root / "package").write_text("a file now")


def _replace_folder_by_link_to_its_copy(repo: Repo) -> None:
    (repo.root / "package").rename(repo.root / "moved")
    (repo.root / "package").symlink_to("moved")


def _replace_file_by_folder(repo: Repo) -> None:
    (repo.root / "train.py").unlink()
    (repo.root / "train.py").mkdir()
    (repo.root / "train.py" / "inside.py").write_text("x")


def _stage_then_modify(repo: Repo) -> None:
    (repo.root / "train.py").write_text("staged\n")
    repo.git("add", "train.py")
    (repo.root / "train.py").write_text("after\n")


def _stage_then_delete(repo: Repo) -> None:
    (repo.root / "added.py").write_text("x")
    repo.git("add", "added.py")
    (repo.root / "added.py").unlink()


def _intend_to_add(repo: Repo) -> None:
    (repo.root / "intended.py").write_text("x\n")
    repo.git("add", "--intent-to-add", "intended.py")


def _untracked_executable(repo: Repo) -> None:
    (repo.root / "tool").write_bytes(b"#!/bin/sh\n")
    (repo.root / "tool").chmod(0o755)


def _assume_unchanged(repo: Repo) -> None:
    repo.git("update-index", "--assume-unchanged", "train.py")
    (repo.root / "train.py").write_text("changed, and git is told not to look\n")


def _skip_worktree(repo: Repo) -> None:
    repo.git("update-index", "--skip-worktree", "train.py")
    (repo.root / "train.py").write_text("changed, and git is told not to look\n")


def _same_size_and_time(repo: Repo) -> None:
    file = repo.root / "train.py"
    repo.git("update-index", "--refresh")
    before = file.stat()
    file.write_text(file.read_text().replace("one", "eno"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def _write(path: str, data: bytes) -> Change:
    def change(repo: Repo) -> None:
        (repo.root / path).parent.mkdir(parents=True, exist_ok=True)
        (repo.root / path).write_bytes(data)

    return change


CHANGES: dict[str, Change] = {
    "nothing": lambda repo: None,
    "text": _write("train.py", b"print('one')\nprint('three')\n"),
    "emptied": _write("train.py", b""),
    "binary": _write("package/deep/data.bin", bytes(range(255, -1, -1)) * 9),
    "text becomes binary": _write("train.py", b"\0\1\2"),
    "line ends": _write("dos.txt", b"one\ntwo\r\n"),
    "lone carriage returns": _write("dos.txt", b"one\rtwo\r\r\n\r"),
    "no last newline": _write("no-newline", b"end of it"),
    "not UTF-8": _write("latin", "süß".encode("latin-1")),
    "untracked": _write("new/sub/module.py", b"x = 1\n"),
    "untracked empty": _write("empty", b""),
    "untracked executable": _untracked_executable,
    "untracked link": lambda repo: (repo.root / "link").symlink_to("./package/"),
    "untracked dangling link": lambda repo: (repo.root / "dangling").symlink_to("nowhere/at all"),
    "name with space": _write(" a name ", b"x"),
    "name with quote": _write("a\"'name", b"x"),
    "name with newline and tab": _write("a\nname\twith", b"x"),
    "name in unicode": _write("größe/日本語.py", b"x"),
    "name with backslash": _write("a\\name", b"x"),
    "name like an option": _write("-rf", b"x"),
    "name like a pathspec": _write(":(glob)*", b"x"),
    "name like a patch": _write("a/b/dev/null", b"x"),
    "longest name": _write("n" * 255, b"x"),
    "content like a patch": _write("x.patch", b"diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n-- \n2.1\n"),
    "deleted": lambda repo: (repo.root / "train.py").unlink(),
    "deleted and staged": lambda repo: repo.git("rm", "--quiet", "train.py"),
    "removed from the index only": lambda repo: repo.git("rm", "--quiet", "--cached", "train.py"),
    "renamed": lambda repo: repo.git("mv", "train.py", "renamed.py"),
    "everything deleted": lambda repo: put_tree(repo.root, {}),
    "made executable": lambda repo: (repo.root / "train.py").chmod(0o755),
    "made not executable": lambda repo: (repo.root / "run.sh").chmod(0o644),
    "other link target": lambda repo: [(repo.root / "latest").unlink(), (repo.root / "latest").symlink_to("run.sh")],
    "file becomes link": _replace_file_by_link,
    "link becomes file": _replace_link_by_file,
    "link becomes folder": _replace_link_by_folder,
    "folder becomes file": _replace_folder_by_file,
    "folder becomes link": _replace_folder_by_link_to_its_copy,
    "file becomes folder": _replace_file_by_folder,
    "staged, then modified": _stage_then_modify,
    "staged, then deleted": _stage_then_delete,
    "intent to add": _intend_to_add,
    "assumed unchanged": _assume_unchanged,
    "skip-worktree": _skip_worktree,
    "same size and time": _same_size_and_time,
}


@pytest.mark.parametrize("kind", CHANGES)
def test_change_round_trips(repo: Repo, store: JobStore, tmp_path: Path, kind: str) -> None:
    """A work tree with this change comes out as it is."""
    CHANGES[kind](repo)
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_ignored_files_stay_out(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """What git ignores, by the repository's or the user's rules, is not carried."""
    (repo.root / "data.ignored").write_text("x")
    (repo.root / ".git" / "info" / "exclude").write_text("mine.txt\n")
    (repo.root / "mine.txt").write_text("x")
    out = round_trip(repo.root, store, tmp_path / "out")
    assert not {"data.ignored", "mine.txt"} & set(out)


def test_leftovers_of_tools_stay_out(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """Byte code and virtual environments that nobody ignored are not carried; tracked ones are source."""
    for path in ("env/pyvenv.cfg", "env/lib/x.py", "package/__pycache__/x.pyc", "package/.DS_Store"):
        (repo.root / path).parent.mkdir(parents=True, exist_ok=True)
        (repo.root / path).write_text("x")
    (repo.root / "kept" / "__pycache__").mkdir(parents=True)
    (repo.root / "kept" / "__pycache__" / "y.pyc").write_text("x")
    repo.git("add", "kept")
    out = round_trip(repo.root, store, tmp_path / "out")
    assert {path for path in out if "pyc" in path or "env" in path or "DS_" in path} == {"kept/__pycache__/y.pyc"}


HOSTILE = {
    "conversion": "[core]\n autocrlf = true\n safecrlf = true\n eol = crlf\n",
    "modes": "[core]\n fileMode = false\n symlinks = false\n ignoreCase = true\n trustctime = false\n",
    "diff": "[diff]\n noprefix = true\n mnemonicPrefix = true\n renames = copies\n context = 0\n external = false\n"
    " algorithm = patience\n submodule = log\n ignoreSubmodules = all\n orderFile = /nowhere\n[color]\n ui = always\n",
    "apply": "[apply]\n whitespace = error-all\n ignoreWhitespace = change\n[core]\n whitespace = trailing-space\n",
    "names": "[core]\n quotePath = false\n precomposeUnicode = true\n",
    "speed": "[core]\n untrackedCache = true\n fsmonitor = false\n preloadIndex = true\n[index]\n version = 4\n"
    "[feature]\n manyFiles = true\n[core]\n splitIndex = true\n",
    "bundle": "[bundle]\n version = 2\n[pack]\n threads = 4\n[transfer]\n fsckObjects = true\n",
}


def _changes_of_many_kinds(repo: Repo) -> None:
    for kind in ("text", "binary", "line ends", "name in unicode", "renamed", "made not executable", "untracked link"):
        CHANGES[kind](repo)


@pytest.mark.parametrize("name", HOSTILE)
def test_configuration_changes_no_byte(
    repo: Repo, store: JobStore, tmp_path: Path, user_config: Path, name: str
) -> None:
    """Neither the user's configuration nor the repository's own changes what is carried."""
    user_config.write_text(HOSTILE[name])
    with (repo.root / ".git" / "config").open("a") as own:
        own.write(HOSTILE[name])
    repo.git("update-index", "--force-write-index")
    CHANGES["text"](repo)
    _changes_of_many_kinds(repo)
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


ATTRIBUTES = {
    "line ends": "* text=auto eol=crlf\n",
    "ident": "*.py ident\n",
    "encoding": "*.txt working-tree-encoding=UTF-16\n",
    "filter": "* filter=upper\n",
    "diff driver": "* diff=driver\n",
    "no diff": "* -diff\n",
    "export": "* export-ignore export-subst\n",
    "whitespace": "* whitespace=trailing-space,cr-at-eol,tab-in-indent\n",
}


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attributes_change_no_byte(repo: Repo, store: JobStore, tmp_path: Path, name: str) -> None:
    """Attributes ask git to convert files and to run programs; the bytes in the work tree are carried, nothing runs."""
    ran = tmp_path / "ran"
    for driver in ("filter.upper.clean", "filter.upper.smudge", "diff.driver.command", "diff.driver.textconv"):
        repo.git("config", driver, f"touch {ran}; tr a-z A-Z")
    _write("a.py", b"# $Id$ \n\tx\r\n")(repo)
    _write("b.txt", "größe\r\n".encode("utf-16"))(repo)
    repo.commit()
    (repo.root / ".gitattributes").write_text(ATTRIBUTES[name])
    _changes_of_many_kinds(repo)
    _write("a.py", b"# $Id: kept $ \n\tx \r\n\n")(repo)
    ran.unlink(missing_ok=True)  # the test's own git commands may have run them
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["line ends", "ident", "filter"])
def test_committed_attributes_change_no_byte(repo: Repo, store: JobStore, tmp_path: Path, name: str) -> None:
    """In a clean checkout whose files git converted, the converted bytes are the source."""
    for driver, command in (("clean", "tr A-Z a-z"), ("smudge", "tr a-z A-Z")):
        repo.git("config", f"filter.upper.{driver}", command)
    (repo.root / ".gitattributes").write_text(f"{ATTRIBUTES[name]}.gitattributes !filter\n")
    _write("a.py", b"# $Id$\nlower\n")(repo)
    repo.commit()
    (repo.root / "a.py").unlink()
    repo.git("checkout", "--", "a.py")
    assert (repo.root / "a.py").read_bytes() != b"# $Id$\nlower\n"
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


ENVIRONMENT = {
    "GIT_DIR": "/nowhere",
    "GIT_WORK_TREE": "/",
    "GIT_INDEX_FILE": "/nowhere/index",
    "GIT_OBJECT_DIRECTORY": "/nowhere/objects",
    "GIT_EXTERNAL_DIFF": "false",
    "GIT_DIFF_OPTS": "--unified=0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NAMESPACE": "x",
    "GIT_DEFAULT_HASH": "sha256",
    "GIT_TEMPLATE_DIR": "/nowhere",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_CONFIG_PARAMETERS": "'core.autocrlf'='true'",
}


def test_environment_changes_no_byte(
    repo: Repo, store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's own variables, as a hook or a user's shell sets them, do not lead the capture astray."""
    _changes_of_many_kinds(repo)
    add_remote(repo, tmp_path / "remote.git")
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_repository_of_sha256_objects(store: JobStore, tmp_path: Path) -> None:
    """A repository with the newer object names is carried too."""
    repo = new_repo(tmp_path / "new", "--object-format=sha256")
    _write("a.py", b"x\n")(repo)
    repo.commit()
    _write("b.py", b"y\n")(repo)
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_linked_worktree(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """In a linked work tree `.git` is a file; its own commit and changes are carried."""
    repo.git("worktree", "add", "--quiet", "-b", "side", str(tmp_path / "side"))
    side = Repo(tmp_path / "side")
    CHANGES["text"](side)
    assert round_trip(side.root, store, tmp_path / "out") == tree_of(side.root)


def test_replaced_objects_do_not_count(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A replace ref, which only this clone has, does not stand in for the commit."""
    real = repo.git("rev-parse", "HEAD").strip()
    _write("train.py", b"replacement\n")(repo)
    other = repo.commit()
    repo.git("reset", "--quiet", "--hard", real)
    repo.git("replace", real, other)
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


def test_submodule_that_was_removed(repo: Repo, store: JobStore, tmp_path: Path) -> None:
    """A submodule in the commit that the index no longer has is simply gone."""
    commit = repo.git("rev-parse", "HEAD").strip()
    repo.git("update-index", "--add", "--cacheinfo", f"160000,{commit},module")
    repo.git("commit", "--quiet", "-m", "with a submodule")
    repo.git("rm", "--quiet", "--cached", "module")
    assert round_trip(repo.root, store, tmp_path / "out") == tree_of(repo.root)


_NAMES = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=4).filter(
    lambda name: name not in {".", ".."} and not name.lower().startswith((".git", "git~"))
)
_PATHS = st.lists(st.one_of(st.sampled_from(["a", "b", "c"]), _NAMES), min_size=1, max_size=3).map("/".join)
_DATA = st.one_of(
    st.binary(max_size=40),
    st.lists(st.sampled_from([b"x\n", b"y\n", b"\r\n", b"z", b"\0"]), max_size=12).map(b"".join),
)
_FILES = st.tuples(st.sampled_from(["644", "755"]), _DATA)
_LINKS = st.tuples(st.just("link"), _NAMES.map(str.encode))


def _without_files_as_folders(tree: Tree) -> Tree:
    parents = {"/".join(parts[:n]) for path in tree for parts in [path.split("/")] for n in range(1, len(parts))}
    return {path: value for path, value in tree.items() if path not in parents and len(path.encode()) < 200}


_TREES = st.dictionaries(_PATHS, st.one_of(_FILES, _FILES, _LINKS), max_size=6).map(_without_files_as_folders)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(committed=_TREES, staged=st.none() | _TREES, working=_TREES)
def test_any_change_between_any_trees_round_trips(committed: Tree, staged: Tree | None, working: Tree) -> None:
    """Whatever was committed, staged, and then done to the files: the files come out."""
    with tempfile.TemporaryDirectory() as folder:
        repo = new_repo(Path(folder) / "repo")
        put_tree(repo.root, committed)
        repo.commit()
        if staged is not None:
            put_tree(repo.root, staged)
            repo.git("add", "--all")
        put_tree(repo.root, working)
        store = open_store((Path(folder) / "store").as_uri())
        assert round_trip(repo.root, store, Path(folder) / "out") == working == tree_of(repo.root)


def test_repository_is_not_touched(repo: Repo, store: JobStore, user_config: Path) -> None:
    """Nothing under `.git`, and no file of the work tree, is written: not even the index's cache of times."""
    user_config.write_text(HOSTILE["speed"])
    CHANGES["untracked"](repo)
    CHANGES["text"](repo)
    (repo.root / "run.sh").touch()
    hook = repo.root / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\ntouch ran\n")
    hook.chmod(0o755)
    before, files = repo.state(), tree_of(repo.root)
    capture(repo.root, store)
    assert (repo.state(), tree_of(repo.root)) == (before, files)


def test_temporary_files_are_gone(repo: Repo, store: JobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After capture and checkout, and after a refusal, nothing of ours is in the temporary folder."""
    mine = tmp_path / "temporary"
    mine.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(mine))
    round_trip(repo.root, store, tmp_path / "out")
    os.mkfifo(repo.root / "no-newline-fifo")
    (repo.root / "train.py").unlink()
    os.mkfifo(repo.root / "train.py")
    with contextlib.suppress(Exception):
        round_trip(repo.root, store, tmp_path / "out2")
    assert list(mine.iterdir()) == []
