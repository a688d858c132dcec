"""The live part of a log: every line once and in order, or a line that says how many are not there."""

from __future__ import annotations

import asyncio
import tempfile
import tracemalloc
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.errors import Unavailable
from launch_jobs.live_log import LONGEST_LINE, MOST_BEHIND, Backlog, LiveLine, LiveLog, Telling, live_text
from launch_jobs.testing import MemoryOutput

pytestmark = pytest.mark.anyio


class Faulty(MemoryOutput):
    """A sink whose answers are lost as planned: before the lines arrive ("away"), or after ("lost")."""

    def __init__(self, faults: Sequence[str]) -> None:
        super().__init__()
        self._faults = list(faults)

    async def send(self, lines: Sequence[LiveLine]) -> None:
        """Take lines, or say that nobody knows."""
        fault = self._faults.pop(0) if self._faults else ""
        if fault != "away":
            await super().send(lines)
        if fault:
            raise Unavailable("the sink")


class Away(MemoryOutput):
    """A sink that takes nothing until it is back; and answers, unless `is_heard`, only who has sent lines by then."""

    def __init__(self, *, is_heard: bool) -> None:
        super().__init__()
        self._is_heard = is_heard
        self.asked, self.back = asyncio.Semaphore(0), asyncio.Event()
        self._sent: datetime | None = None

    async def send(self, lines: Sequence[LiveLine]) -> None:
        """Take lines once it is back."""
        self._sent = lines[0].moment
        if not self.back.is_set():
            raise Unavailable("the sink")
        await super().send(lines)

    async def has(self, since: datetime) -> bool:
        """Tell truly, if anything."""
        self.asked.release()
        if not self._is_heard and not (self.back.is_set() and since == self._sent):
            raise Unavailable("the sink")
        return await super().has(since)


async def _told(path: Path, sink: MemoryOutput) -> list[LiveLine]:
    over = asyncio.Event()
    over.set()
    await LiveLog(path, "r", sink).run(over)
    return sink.lines


@given(data=st.lists(st.binary(max_size=30), max_size=20).map(b"\n".join), cuts=st.sets(st.integers(0, 300)))
def test_however_a_file_grows_its_lines_are_read_once(data: bytes, cuts: set[int]) -> None:
    """Lines are those of the file, whenever it is looked at; the last one may have no newline."""
    with tempfile.TemporaryDirectory() as folder:
        path, lines = Path(folder) / "log", list[bytes]()
        backlog = Backlog(path)
        for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
            path.write_bytes(data[:end])
            while batch := backlog.next(is_over=end == len(data)):
                lines += batch.lines
                backlog.move(batch.end)
    expected = data.split(b"\n")
    assert lines == (expected if expected[-1] else expected[:-1])


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"1%\r50%\r100%", "100%"),
        (b"1%\r100%\r", "100%"),
        (b"dos\r", "dos"),
        (b"\xff\0\x1b[31m", "\N{REPLACEMENT CHARACTER}\N{SYMBOL FOR NULL}\x1b[31m"),
        (b"", ""),
    ],
)
def test_a_line_for_people(line: bytes, text: str) -> None:
    """Of a progress bar the last state; of bytes that are no text, a sign for each."""
    assert live_text(line) == text


def test_a_line_of_a_megabyte_is_cut(tmp_path: Path) -> None:
    """It is one line, says that it goes on, and the next one is whole."""
    (tmp_path / "log").write_bytes(b"x" * 1_000_000 + b"\nnext\n")
    backlog, lines = Backlog(tmp_path / "log"), list[bytes]()
    while batch := backlog.next(is_over=False):
        lines += batch.lines
        backlog.move(batch.end)
    assert [live_text(line)[LONGEST_LINE:] for line in lines] == [" … the rest of this line is in the whole log", ""]
    assert lines[1] == b"next"


def test_a_line_without_an_end_is_waited_for(tmp_path: Path) -> None:
    """However long it is, it is told once: when it ends, or when nothing follows."""
    path = tmp_path / "log"
    path.write_bytes(b"x" * (2 * MOST_BEHIND))
    backlog = Backlog(path)
    assert backlog.next(is_over=False) is None
    with path.open("ab") as file:
        file.write(b"x\nend")
    batch = backlog.next(is_over=False)
    assert batch and (batch.left_out, len(batch.lines), batch.end) == (0, 1, 2 * MOST_BEHIND + 2)
    backlog.move(batch.end)
    assert backlog.next(is_over=False) is None
    last = backlog.next(is_over=True)
    assert last and last.lines == (b"end",)


async def test_a_million_lines_are_left_out_but_counted(tmp_path: Path) -> None:
    """What is shown and what is said to be left out is all there is, in order, in little memory."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"line %d\n" % number for number in range(1_000_000)))
    tracemalloc.start()
    lines = await _told(path, MemoryOutput())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(line.left_out or 1 for line in lines) == 1_000_000
    assert lines[0].text == f"… {lines[0].left_out:,} lines left out of the live log; whole log: launch logs r"
    assert lines[-1].text == "line 999999"
    assert len(lines) < 20_000
    assert peak < 20_000_000, peak


@pytest.mark.parametrize("faults", [("away",), ("lost",), ("away", "lost", "lost")])
async def test_a_sink_that_is_away_gets_each_line_once(tmp_path: Path, faults: Sequence[str]) -> None:
    """Also when only its answer was lost; times are in the order of lines."""
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    lines = await _told(tmp_path / "log", Faulty(faults))
    assert [line.text for line in lines] == ["one", "two"]
    assert all(before.moment < after.moment for before, after in pairwise(lines))


@pytest.mark.parametrize("fault", ["away", "lost"])
async def test_another_agent_goes_on(tmp_path: Path, fault: str) -> None:
    """One that died while it was sending leaves no line out and doubles none."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    sink = MemoryOutput()
    await _told(path, sink)
    with path.open("ab") as file:
        file.write(b"two\n")
    dying = Faulty([fault])
    dying.lines = sink.lines
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_told(path, dying), 0.5)
    with path.open("ab") as file:
        file.write(b"three\n")
    assert [line.text for line in await _told(path, sink)] == ["one", "two", "three"]


async def test_times_never_run_backwards(tmp_path: Path) -> None:
    """A clock that is set back gives later lines no earlier times: they are read in the order of times."""
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    sink = MemoryOutput()
    first = (await _told(path, sink))[0].moment
    cursor = path.with_suffix(".live")
    ahead = datetime.fromisoformat("2999-01-01T00:00:00+00:00")
    cursor.write_text(cursor.read_text().replace(first.isoformat(), ahead.isoformat()))
    with path.open("ab") as file:
        file.write(b"two\n")
    assert (await _told(path, sink))[1].moment > ahead


async def test_a_disk_that_takes_no_note_is_waited_for(tmp_path: Path) -> None:
    """Where it cannot be noted how far the log came, nothing is sent; once it can, all lines are, once."""
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    obstacle, sink, over = tmp_path / "log.live-new", MemoryOutput(), asyncio.Event()
    obstacle.mkdir()
    over.set()
    log = asyncio.ensure_future(LiveLog(tmp_path / "log", "r", sink).run(over))
    done, _ = await asyncio.wait({log}, timeout=0.3)
    assert (done, sink.lines) == (set(), [])
    obstacle.rmdir()
    await log
    assert [line.text for line in sink.lines] == ["one", "two"]


@pytest.mark.parametrize(("attempt", "more"), [(1, ["two", "three"]), (2, ["one", "two", "three"])])
async def test_whoever_goes_on_in_another_home_sends_the_rest(tmp_path: Path, attempt: int, more: list[str]) -> None:
    """The sink says how far this attempt's output came; marks of an earlier attempt tell nothing of it."""
    here, there, sink = tmp_path / "here", tmp_path / "there", MemoryOutput()
    here.write_bytes(b"one\n")
    await _told(here, sink)
    there.write_bytes(b"one\ntwo\nthree\n")
    over = asyncio.Event()
    over.set()
    await LiveLog(there, "r", sink, attempt=attempt, is_resumed=True).run(over)
    assert sink.texts == ["one", *more]


async def test_last_words_wait_for_a_sink_that_is_away(tmp_path: Path) -> None:
    """The run's end has the same way to go. When the sink is back it has every line."""
    (tmp_path / "log").write_bytes(b"one\ntwo\n")
    sink = Away(is_heard=False)
    async with Telling(LiveLog(tmp_path / "log", "r", sink)) as live:
        saying = asyncio.ensure_future(live.last_words(patience_s=0.01))
        for _ in range(5):
            await asyncio.wait_for(sink.asked.acquire(), 60)
        assert not saying.done()
        sink.back.set()
        await saying
    assert sink.texts == ["one", "two"]


async def test_last_words_do_not_wait_for_a_sink_that_only_answers(tmp_path: Path) -> None:
    """It takes no lines: the run's end, which the server may well take, does not wait for it."""
    (tmp_path / "log").write_bytes(b"one\n")
    async with Telling(LiveLog(tmp_path / "log", "r", Away(is_heard=True))) as live:
        await asyncio.wait_for(live.last_words(patience_s=0.01), 60)
