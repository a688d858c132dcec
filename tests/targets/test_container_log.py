"""A container's log can be taken up at any line: the law of the cursor, and Docker's frames."""

from __future__ import annotations

import struct
from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.errors import BadInput, Unavailable
from launch_jobs.targets.container_log import LogCursor
from launch_jobs.targets.container_stream import frames

_STEPS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=60)


def _seconds(steps: list[tuple[int, int]]) -> list[int]:
    """Times of lines that grow, each line late by up to three seconds: stdout and stderr overtake each other."""
    times = accumulate(step for step, _ in steps)
    return [1_700_000_000 + time - late for time, (_, late) in zip(times, steps, strict=True)]


def _engine(seconds: list[int], anchor: int, *, is_new: bool) -> list[int]:
    """Which lines an engine sends from `anchor` on: old ones judge each line, new ones stop at the first that fits."""
    if not is_new:
        return [line for line, second in enumerate(seconds) if second >= anchor]
    first = next((line for line, second in enumerate(seconds) if second >= anchor), len(seconds))
    return list(range(first, len(seconds)))


def _cursors(seconds: list[int]) -> list[str]:
    cursor, written = LogCursor(), [str(LogCursor())]
    for second in seconds:
        cursor.advance(second)
        written.append(str(cursor))
    return written


@settings(deadline=None)
@given(steps=_STEPS, is_new=st.booleans())
def test_reading_goes_on_exactly_behind_every_line(steps: list[tuple[int, int]], is_new: bool) -> None:
    """From every place, with old and new engines, reading on gives exactly the lines behind it."""
    seconds = _seconds(steps)
    for place, text in enumerate(_cursors(seconds)):
        begin = LogCursor.parse(text)
        cursor, read = begin.rewound(), list[int]()
        for line in _engine(seconds, cursor.anchor, is_new=is_new):
            cursor.advance(seconds[line])
            if cursor.total > begin.total:
                read.append(line)
        assert read == list(range(place, len(seconds)))


@settings(deadline=None)
@given(steps=_STEPS, is_new=st.booleans())
def test_a_resumed_cursor_can_be_resumed(steps: list[tuple[int, int]], is_new: bool) -> None:
    """Places written after a resumption are as good as the first reader's."""
    seconds = _seconds(steps)
    middle = LogCursor.parse(_cursors(seconds)[len(seconds) // 2])
    cursor = middle.rewound()
    for line in _engine(seconds, cursor.anchor, is_new=is_new):
        cursor.advance(seconds[line])
        again = LogCursor.parse(str(cursor)).rewound()
        rest = _engine(seconds, again.anchor, is_new=is_new)[cursor.count :]
        assert rest == list(range(line + 1, len(seconds)))


def test_long_logs_are_not_read_from_the_beginning() -> None:
    """The anchor follows the log, a few seconds behind."""
    cursor = LogCursor.parse(_cursors(list(range(1_700_000_000, 1_700_001_000)))[-1])
    assert 1_700_001_000 - cursor.anchor < 15
    assert (cursor.count, cursor.total) < (15, 1001)


def test_clock_set_back_falls_back_to_the_whole_log() -> None:
    """Lines older than the anchor make only the beginning a safe place to ask from."""
    cursor = LogCursor.parse(_cursors([*range(1_700_000_000, 1_700_000_100), 1_600_000_000])[-1])
    assert (cursor.anchor, cursor.count, cursor.total) == (0, 101, 101)


@pytest.mark.parametrize("text", ["x", "1:2", "1:2:x", "2026-01-01T00:00:00Z"])
def test_foreign_offset_is_bad_input(text: str) -> None:
    """An offset of another target is told as such."""
    with pytest.raises(BadInput):
        LogCursor.parse(text)


def _framed(payloads: list[bytes]) -> bytes:
    return b"".join(struct.pack(">BxxxL", 1, len(payload)) + payload for payload in payloads)


@settings(deadline=None)
@given(payloads=st.lists(st.binary(max_size=40), max_size=8), size=st.integers(1, 50))
def test_frames_are_found_however_they_are_cut(payloads: list[bytes], size: int) -> None:
    """The payloads come out whole, whatever the pieces the network made."""
    data = _framed(payloads)
    assert list(frames(data[start : start + size] for start in range(0, len(data), size))) == payloads


@settings(deadline=None)
@given(payload=st.binary(min_size=1, max_size=40), data=st.data())
def test_frame_cut_short_is_an_error(payload: bytes, data: st.DataObject) -> None:
    """A stream that ends inside a frame never looks like an end."""
    whole = _framed([payload])
    cut = data.draw(st.integers(1, len(whole) - 1))
    with pytest.raises(Unavailable):
        list(frames([whole[:cut]]))
