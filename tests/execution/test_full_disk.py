"""A full disk while a run is prepared, told by the system or by a tool's words, is waited for and told once."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from launch_jobs.errors import BuildError, StoreError
from launch_jobs.full_disk import on_disk, tells_ill_disk

pytestmark = pytest.mark.anyio

UV = BuildError("packages could not be installed\n  cause: failed to copy: No space left on device (os error 28)")
GIT = StoreError("the source of job x cannot be written: fatal: write error: No space left on device")
SAID = [
    (UV, True),
    (GIT, True),
    (BuildError("image x could not be built, at: 3/5\nwrite /var/lib/docker/tmp/x: no space left on device"), True),
    (BuildError("error: x.c:1: unknown type"), False),
    (OSError(errno.EDQUOT, "quota"), True),
    (OSError(errno.EACCES, "mode"), False),
    (ValueError("No space left on device"), False),
]


@pytest.mark.parametrize(("error", "expected"), SAID)
def test_errors_of_a_disk_are_told_from_others(error: Exception, expected: bool) -> None:
    """By number, or by the words of git, uv and builders."""
    assert tells_ill_disk(error) is expected


@pytest.mark.parametrize("full", [Path("/dev/full"), None])
async def test_what_was_made_on_a_full_disk_is_made_again(tmp_path: Path, full: Path | None) -> None:
    """Whoever waits for it hears that once; another error is one at once."""
    paths, said = iter([full, tmp_path / "file"]), list[str]()

    async def make() -> str:
        path = next(paths)
        if path is None:
            raise UV
        path.write_text("made")
        return path.read_text()

    assert await on_disk(make, said.append) == "made"
    assert len(said) == 1
    assert "no space left on device" in said[0].lower()
    with pytest.raises(BuildError, match="wrong"):
        await on_disk(_wrong, said.append)


async def _wrong() -> None:
    raise BuildError("wrong")
