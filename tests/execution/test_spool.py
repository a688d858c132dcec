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
def test_no_byte_and_no_line_is_lost_or_doubled(data: bytes, sizes: list[int], deaths: set[int]) -> None:
    """Whenever the reader dies between chunks, the next one goes on where it was."""
    with tempfile.TemporaryDirectory() as folder:
        path, lines = Path(folder) / "log", list[str]()
        spool = Spool(path, lines.append)
        for number, chunk in enumerate(_chunks(data, sizes)):
            if number in deaths:
                spool.release()
                with path.open("ab") as file:
                    file.write(b"written, but the cursor was not moved")
                spool = Spool(path, lines.append)
            spool.write(chunk)
        spool.close()
        assert path.read_bytes() == data
    expected = [line.decode(errors="replace").rstrip("\r") for line in data.split(b"\n")]
    assert lines == (expected[:-1] if data.endswith(b"\n") or not data else expected)


def test_reading_goes_on_after_the_last_chunk(tmp_path: Path) -> None:
    """A new reader asks the target for what comes after the offset that was kept."""
    spool = Spool(tmp_path / "log", print)
    assert spool.offset is None
    spool.write(LogChunk(b"one\n", "mark"))
    spool.release()
    again = Spool(tmp_path / "log", print)
    assert again.offset == "mark"
    again.close()
