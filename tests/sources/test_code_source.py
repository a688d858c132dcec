"""A folder without git: what is source, what is refused, and that it comes out byte for byte."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from repositories import Repo, capture, round_trip, tree_of

from launch_jobs.capture.ignore import IgnoreRules
from launch_jobs.capture.limits import Limits
from launch_jobs.capture.source import checkout, snapshot_source
from launch_jobs.capture.tree import walk
from launch_jobs.errors import CaptureError, StoreError
from launch_jobs.job import CodeSource
from launch_jobs.store.jobs import JobStore


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with files of every kind."""
    root = tmp_path / "project"
    put(root, "train.py", "x\r\n")
    put(root, "package/größe\n'x'.bin", "\0\1")
    put(root, "empty", "")
    put(root, "run.sh", "#!/bin/sh\n").chmod(0o755)
    (root / "latest").symlink_to("./package/")
    (root / "package" / "up").symlink_to("../train.py")
    (root / "dangling").symlink_to("not-here")
    return root


def put(root: Path, path: str, content: str = "x") -> Path:
    """Write a file and its folders."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode())
    return file


def kept(root: Path) -> set[str]:
    """Paths that are source."""
    return set(walk(root, IgnoreRules(root).keep))


def test_folder_round_trips(project: Path, store: JobStore, tmp_path: Path) -> None:
    """Content, modes, links and names come out as they are."""
    assert round_trip(project, store, tmp_path / "out") == tree_of(project)


def test_empty_folder_round_trips(store: JobStore, tmp_path: Path) -> None:
    """A folder without files is a source, too."""
    (tmp_path / "empty").mkdir()
    assert round_trip(tmp_path / "empty", store, tmp_path / "out") == {}


def test_same_tree_is_the_same_archive(project: Path, store: JobStore) -> None:
    """Times and owners do not count: the archive is the same to the byte."""
    first = capture(project, store)
    os.utime(project / "train.py", (1, 1))
    assert capture(project, store) == first


def test_tools_leftovers_stay_out(project: Path) -> None:
    """Repositories, virtual environments, byte code and folder marks are never source."""
    before = kept(project)
    for path in (".git/config", "env/pyvenv.cfg", "env/lib/x.py", "package/__pycache__/x.pyc", ".DS_Store"):
        put(project, path)
    assert kept(project) == before


def test_ignore_files_of_every_level(tmp_path: Path) -> None:
    """The deeper rule wins, `.launchignore` is read after `.gitignore`, and an ignored folder is not entered."""
    put(tmp_path, ".gitignore", "*.log\n/data/\nbuild\n")
    put(tmp_path, ".launchignore", "!keep.log\nsecret.txt\n")
    put(tmp_path, "sub/.gitignore", "!*.log\nlocal\n")
    for path in ("a.log", "keep.log", "data/x", "sub/data/y", "sub/b.log", "sub/local", "sub/build/z", "secret.txt"):
        put(tmp_path, path)
    put(tmp_path, "data/.gitignore", "!x\n")
    rules = {".gitignore", ".launchignore", "sub/.gitignore"}
    assert kept(tmp_path) - rules == {"keep.log", "sub/b.log", "sub/data/y"}


def test_dockerignore_is_read_as_docker_does(tmp_path: Path) -> None:
    """Its patterns begin at the root, a file can be taken back out of an ignored folder, and the last match wins."""
    put(tmp_path, ".dockerignore", "# all but\n*\n!src\n!data/kept.txt\nsrc/*.tmp\n**/*.pt\n")
    for path in ("a.py", "src/b.py", "src/c.tmp", "src/deep/d.tmp", "src/deep/e.pt", "data/kept.txt", "data/x"):
        put(tmp_path, path)
    assert kept(tmp_path) == {"src/b.py", "src/deep/d.tmp", "data/kept.txt"}


def test_launchignore_takes_back_what_docker_ignores(tmp_path: Path) -> None:
    """Our own file has the last word."""
    put(tmp_path, ".dockerignore", "*.py\n")
    put(tmp_path, ".launchignore", "!train.py\n")
    put(tmp_path, "train.py")
    put(tmp_path, "other.py")
    assert kept(tmp_path) == {".dockerignore", ".launchignore", "train.py"}


_PATTERNS = st.sampled_from(
    [
        "a",
        "/a",
        "a/",
        "/a/",
        "*",
        "!a",
        "!/a",
        "!a/",
        "a*",
        "!b*",
        "**/b",
        "a/**",
        "a/b",
        "!a/b",
        "[ab]",
        "# a",
        "?",
        "",
    ]
)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(top=st.lists(_PATTERNS, max_size=4), deep=st.lists(_PATTERNS, max_size=3))
def test_gitignore_is_read_as_git_does(top: list[str], deep: list[str]) -> None:
    """For any few patterns at two levels, what is kept is what git would add."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for path in ("a/a", "a/b", "a/c/a", "a/c/b", "b/a", "b/b", "c", "ab"):
            put(root, path)
        put(root, ".gitignore", "\n".join(top) + "\n")
        put(root, "a/.gitignore", "\n".join(deep) + "\n")
        repo = Repo(root)
        repo.git("init", "--quiet")
        listed = repo.git("-c", "core.excludesFile=", "ls-files", "-z", "--others", "--exclude-standard")
        assert kept(root) == {path for path in listed.split("\0") if path}


@pytest.mark.parametrize("target", ["/etc/hostname", "../outside", "package/../../outside", ".."])
def test_link_to_outside_is_refused(project: Path, store: JobStore, target: str) -> None:
    """A link out of the folder cannot be carried; it is named with its target."""
    (project / "link").symlink_to(target)
    with pytest.raises(CaptureError, match=f"the link 'link' in .* points outside, to '{target}'"):
        capture(project, store)


def test_ignored_special_file_is_no_matter(project: Path, store: JobStore) -> None:
    """What is ignored is not looked at."""
    os.mkfifo(project / "pipe")
    put(project, ".launchignore", "pipe\n")
    assert isinstance(capture(project, store).job.source, CodeSource)


def test_ignore_file_that_is_not_text_is_refused(project: Path, store: JobStore) -> None:
    """A broken ignore file is named: guessing would carry what should stay."""
    (project / ".gitignore").write_bytes(b"\xff\xfe\0")
    with pytest.raises(CaptureError, match=r"\.gitignore'"):
        capture(project, store)


def test_too_large_is_refused(project: Path, store: JobStore) -> None:
    """The limit counts every file."""
    put(project, "big", "x" * 1000)
    with (
        pytest.raises(CaptureError, match=r"limit of 1,004.*'big' \(1,000 bytes\)"),
        snapshot_source(project, store, limits=Limits(total=1004)),
    ):
        pass


def test_outputs_of_earlier_runs_stay_out(project: Path, store: JobStore) -> None:
    """Paths that the caller names are not source."""
    put(project, "model.bin")
    with snapshot_source(project, store, without=["model.bin"]) as snapshot:
        assert "model.bin" not in {entry.path for entry in snapshot.files}


def test_captured_content_outlives_the_working_files(project: Path, store: JobStore) -> None:
    """`read` gives what was captured after the files changed."""
    expected = tree_of(project)
    with snapshot_source(project, store) as snapshot:
        for path in expected:
            (project / path).unlink()
        assert {entry.path: (entry.mode, snapshot.read(entry.path)) for entry in snapshot.files} == expected


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


EVIL = {
    "absolute": [_member("/tmp/evil")],
    "parent": [_member("../evil")],
    "through parent": [_member("a/../../evil")],
    "through a link": [_member("a", tarfile.SYMTYPE, "b"), _member("a/evil")],
    "link outside": [_member("a", tarfile.SYMTYPE, "../..")],
    "absolute link": [_member("a", tarfile.SYMTYPE, "/etc")],
    "hard link": [_member("a", tarfile.LNKTYPE, "/etc/passwd")],
    "device": [_member("a", tarfile.CHRTYPE)],
    "pipe": [_member("a", tarfile.FIFOTYPE)],
    "twice": [_member("a"), _member("a")],
    "empty name": [_member("")],
}


@pytest.mark.parametrize("kind", EVIL)
def test_archive_that_no_snapshot_writes(project: Path, store: JobStore, tmp_path: Path, kind: str) -> None:
    """An archive from elsewhere writes nothing outside its folder, and is refused."""
    version = capture(project, store)
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for member in EVIL[kind]:
            archive.addfile(member)
    origin = version.origin.model_copy(update={"archive": store.put_bytes(made.getvalue())})
    with pytest.raises(StoreError):
        checkout(version.model_copy(update={"origin": origin}), store, tmp_path / "parent" / "out")
    assert not list(tmp_path.rglob("evil"))
    assert not (tmp_path / "parent" / "out").exists()


@pytest.mark.parametrize("content", [b"", b"x" * 2000])
def test_blob_that_is_no_archive(project: Path, store: JobStore, tmp_path: Path, content: bytes) -> None:
    """Another file in the archive's place is refused."""
    version = capture(project, store)
    origin = version.origin.model_copy(update={"archive": store.put_bytes(content)})
    with pytest.raises(StoreError):
        checkout(version.model_copy(update={"origin": origin}), store, tmp_path / "out")
