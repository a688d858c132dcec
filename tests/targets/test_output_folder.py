"""Outputs come from a program that may be hostile: nothing leaves the folder, nothing is over the limit."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.errors import Unavailable
from launch_jobs.targets.outputs import OutputFolder, keep_archive


def _tar(*members: tarfile.TarInfo, size: int = 4) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as tar:
        for member in members:
            member.size = size if member.isreg() else 0
            tar.addfile(member, io.BytesIO(bytes(member.size)))
    return data.getvalue()


def _member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def _keep(archive: bytes, folder: Path, limit: int | None = None, *, strip: int = 0) -> tuple[str, ...]:
    outputs = OutputFolder(folder, limit)
    pieces = (archive[start : start + 100] for start in range(0, len(archive), 100))
    keep_archive(outputs, pieces, PurePosixPath(), strip=strip)
    return outputs.left_out


@pytest.mark.parametrize(
    "name", ["../out", "a/../../out", "/etc/out", "..", "a/..", "x" * 300, "\udcff\udcfe", "a/" * 3000 + "b"]
)
def test_hostile_name_is_left_out(tmp_path: Path, name: str) -> None:
    """Names that lead out, or that no file or JSON can have, are named and not written; their neighbours come."""
    left_out = _keep(_tar(_member(name), _member("good")), tmp_path / "in" / "home")
    assert len(left_out) == 1
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["good"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_file_through_a_link_stays_inside(tmp_path: Path, kind: bytes) -> None:
    """Links and devices are not made, so a file "behind" one lands in the folder."""
    (tmp_path / "outside").mkdir()
    archive = _tar(_member("link", kind, "../outside"), _member("link/evil"))
    assert _keep(archive, tmp_path / "home") == ("link",)
    assert (tmp_path / "home" / "link" / "evil").read_bytes() == bytes(4)
    assert list((tmp_path / "outside").iterdir()) == []


def test_first_file_of_a_name_wins(tmp_path: Path) -> None:
    """A second file of the same name, or one below a file, is left out."""
    archive = _tar(_member("a"), _member("a"), _member("a/b"))
    assert _keep(archive, tmp_path) == ("a", "a/b")


def test_collecting_again_gives_the_same(tmp_path: Path) -> None:
    """After a crash in the middle the files are simply written again."""
    archive = _tar(_member("a"), _member("b/c"))
    assert _keep(archive, tmp_path) == _keep(archive, tmp_path) == ()


def test_archive_cut_short_is_an_error(tmp_path: Path) -> None:
    """A transfer that broke never looks like a small output."""
    archive = _tar(_member("a"), size=5000)
    for cut in (600, 2000, 5000):
        with pytest.raises(Unavailable):
            _keep(archive[:cut], tmp_path)


@settings(deadline=None)
@given(sizes=st.lists(st.integers(0, 50), max_size=6), limit=st.integers(0, 100))
def test_limit_is_never_passed(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], limit: int) -> None:
    """What is kept fits, and everything is either kept or named."""
    folder = tmp_path_factory.mktemp("home")
    outputs = OutputFolder(folder, limit)
    for number, size in enumerate(sizes):
        outputs.keep(PurePosixPath(str(number)), size, io.BytesIO(bytes(size)))
    kept = {path.name: path.stat().st_size for path in folder.iterdir()}
    assert sum(kept.values()) <= limit
    assert kept.keys() | set(outputs.left_out) == {str(number) for number in range(len(sizes))}
