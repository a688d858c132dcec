"""The pure parts of the benchmarks: a line through points, and reports made of figures."""

from __future__ import annotations

import argparse
import asyncio
import re
from pathlib import Path

import pytest

from benchmarks.agent.growth import fit, grown
from benchmarks.agent.report import document, table
from benchmarks.counting import Relay
from benchmarks.report import write_section

_OPTIONS = argparse.Namespace(only=None, short=False, json=True)


def test_a_line_goes_through_points_that_are_on_one() -> None:
    """Slope and start are the line's, and nothing is left over."""
    line = fit([(x, 3 * x + 2) for x in range(10)])

    assert line is not None
    assert (line.slope, line.start, line.error) == pytest.approx((3, 2, 0))


def test_the_error_of_a_slope_is_what_textbooks_say() -> None:
    """Four points, by hand: residuals 0.04, -0.22, 0.32 and -0.14 leave 0.172 over; the places vary by 5."""
    line = fit([(0, 1.0), (1, 1.8), (2, 3.4), (3, 4.0)])

    assert line is not None
    assert line.slope == pytest.approx(1.06)
    assert line.error == pytest.approx((0.172 / 2 / 5) ** 0.5)


@pytest.mark.parametrize("points", [[], [(1, 1), (2, 2)], [(1, 1), (1, 2), (1, 3)]])
def test_too_few_points_make_no_line(points: list[tuple[float, float]]) -> None:
    """Three at two places are the least."""
    assert fit(points) is None


def test_growth_is_told_for_a_thousand_runs() -> None:
    """By the line through all points; the runs are those that were measured over."""
    growth = grown([(runs, 130.0 + runs / 1000) for runs in range(500, 1001, 100)])

    assert growth.per_1000 == pytest.approx(1.0)
    assert (growth.first, growth.last, growth.runs) == (130.5, 131.0, 500)


def test_goals_are_those_of_the_parts_that_were_measured() -> None:
    """A time that was never reached misses its goal; parts left out are not spoken of."""
    part = {"ours": {"runs": 5, "all_s": None, "let_go_right": 4, "killed_right": 1, "started_again": 0}}
    goals = document({"adoption": part}, _OPTIONS)["goals"]

    assert {name: goal["met"] for name, goal in goals.items()} == {
        "adoption_s": False,
        "adoption_wrong_ends": True,
        "adoption_started_again": True,
    }


def test_the_stock_worker_is_told_beside_ours() -> None:
    """A ratio is the stock worker's figure over ours; a time that was not reached has none."""
    phases = {"queued": _cancel(0.1), "running": _cancel(0.5), "stubborn": _cancel(10.2)}
    never = {"queued": _cancel(0.2), "running": _cancel(5.0), "stubborn": _cancel(None)}
    report = document({"cancel": {"ours": {"phases": phases}, "stock": {"phases": never}}}, _OPTIONS)

    assert report["ratios"] == {"cancel_queued_s": 2.0, "cancel_running_s": 10.0}
    assert "| cancel, ignores SIGTERM | gone 10.2 s, told 10.2 s (cancelled) | gone > 60 s" in table(report)


def _cancel(seconds: float | None) -> dict[str, object]:
    return {"gone_s": seconds, "told_s": seconds, "state": "CANCELLED", "early": 0, "limit_s": 60.0}


def test_a_section_replaces_its_former_self_alone(tmp_path: Path) -> None:
    """What is before, after and in other sections stays."""
    results = tmp_path / "RESULTS.md"
    for name, text in (("one", "first"), ("two", "other"), ("one", "second")):
        write_section(name, text, results)
    found = results.read_text()

    assert re.findall(r"<!-- (\w+): begin -->\n(.*)\n<!-- \1: end -->", found) == [("one", "second"), ("two", "other")]
    assert "first" not in found


@pytest.mark.anyio
async def test_a_relay_counts_requests_and_the_statuses_of_answers() -> None:
    """Ids and queries are left out of the paths, and each asking begins anew."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        relay = Relay(server.sockets[0].getsockname()[1])
        async with await asyncio.start_server(relay.serve, "127.0.0.1", 0) as front:
            port = front.sockets[0].getsockname()[1]
            await _get(port, "/api/flow_runs/0198b3ab-0000-7000-8000-000000000000")
            counts, answers = await _get(port, "/__counts"), await _get(port, "/__answers")
            again = await _get(port, "/__counts")

    assert (counts, answers, again) == ('{"GET /api/flow_runs/*": 1}', '{"503": 1}', "{}")


async def _get(port: int, path: str) -> str:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.partition(b"\r\n\r\n")[2].decode()
