"""An attempt's output survives the death of the agent that reads it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.spool import Spool
from launch_jobs.targets import LogChunk


def _chunks(data: bytes, sizes: list[int]) -> list[LogChunk]:
    chunks: list[LogChunk] = []
    start = 0
    for size in [*sizes, len(data)]:
        if part := data[start : start + size]:
            start += len(part)
            chunks.append(LogChunk(part, str(start)))
    return chunks


@given(data=st.binary(max_size=200), sizes=st.lists(st.integers(1, 20)), deaths=st.sets(st.integers(0, 30)))
def test_no_byte_is_lost_or_doubled(data: bytes, sizes: list[int], deaths: set[int]) -> None:
    """Whenever the reader dies between chunks, the next one goes on where it was."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        spool = Spool(path)
        for number, chunk in enumerate(_chunks(data, sizes)):
            if number in deaths:
                spool.release()
                with path.open("ab") as file:
                    file.write(b"written, but the cursor was not moved")
                spool = Spool(path)
            spool.write(chunk)
        spool.close()
        assert path.read_bytes() == data


def test_reading_goes_on_after_the_last_chunk(tmp_path: Path) -> None:
    """A new reader asks the target for what comes after the offset that was kept."""
    spool = Spool(tmp_path / "log")
    assert spool.offset is None
    spool.write(LogChunk(b"one\n", "mark"))
    spool.release()
    again = Spool(tmp_path / "log")
    assert again.offset == "mark"
    again.close()


def test_what_is_over_the_limit_is_counted_and_said(tmp_path: Path) -> None:
    """The file is no longer than the limit and one line, also when another reader goes on."""
    spool = Spool(tmp_path / "log", limit=10)
    spool.write(LogChunk(b"1234567\n", "8"))
    spool.write(LogChunk(b"abcdef\n", "15"))
    spool.release()
    spool = Spool(tmp_path / "log", limit=10)
    spool.write(LogChunk(b"x" * 2000, "2015"))
    spool.close()
    kept, _, note = (tmp_path / "log").read_bytes().decode().rpartition("\n… ")
    assert kept == "1234567\nab"
    assert note == "2,005 bytes left out: this log is over its limit of 10 bytes\n"
