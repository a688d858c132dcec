"""Places in the log of a pod's container, and what is seen of an attempt whose keepers still wait. Pure."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import cast

import pytest
from typing_extensions import override

from launch_jobs.cluster import Cluster, forbidden
from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.keeper import KEEPER, as_if_released
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.pod_log import LogPosition, read_on

pytestmark = pytest.mark.anyio


class _Kept(Cluster):
    """A log as a kubelet would send it from any second on."""

    def __init__(self, *stamped: str) -> None:
        super().__init__()
        self._lines = stamped

    @override
    async def stream(self, path: str, query: Mapping[str, str | Sequence[str]]) -> AsyncGenerator[bytes]:
        since = str(query.get("sinceTime", ""))[:19]
        yield b"".join(
            f"2026-01-01T00:00:{line}\n".encode() for line in self._lines if f"2026-01-01T00:00:{line}" >= since
        )


async def _read(log: _Kept, position: LogPosition) -> list[bytes]:
    return [line async for lines in read_on(log, "/p", "main", position, follow=False) for line in lines]


LINES = ("01.5Z a", "02.000000001Z b", "02.0000000005Z c", "02.000000001Z d", "09.1Z e")


@pytest.mark.parametrize("seen", range(len(LINES) + 1))
async def test_reading_goes_on_exactly_where_it_ended(seen: int) -> None:
    """After any line, though times run back a little or are the same."""
    position = LogPosition()
    before = await _read(_Kept(*LINES[:seen]), position)
    after = await _read(_Kept(*LINES), LogPosition.parse(str(position)))
    assert b"".join(before + after) == b"a\nb\nc\nd\ne\n"


async def test_a_rotated_log_loses_no_new_line() -> None:
    """Though lines that were read are gone from it."""
    position = LogPosition()
    await _read(_Kept(*LINES[:4]), position)
    assert await _read(_Kept(LINES[4]), LogPosition.parse(str(position))) == [b"e\n"]


def test_a_place_of_another_kind_is_refused() -> None:
    """In one line."""
    with pytest.raises(BadInput, match="no place in a container's log"):
        LogPosition.parse("12")


def _pod(code: int | None, name: str = "p") -> JsonObject:
    state: JsonObject = {"running": None} if code is None else {"terminated": {"exitCode": code}}
    main: JsonObject = {"name": "main", "state": state}
    keeper: JsonObject = {"name": KEEPER, "state": {"running": None}}
    return {"metadata": {"name": name}, "status": {"phase": "Running", "containerStatuses": [main, keeper]}}


@pytest.mark.parametrize(
    ("codes", "completions", "end"),
    [((None,), 1, None), ((0,), 1, "Complete"), ((3,), 1, "Failed"), ((0, None), 2, None), ((0, 0), 2, "Complete")],
)
def test_a_job_ends_with_its_programs(codes: tuple[int | None, ...], completions: int, end: str | None) -> None:
    """Not with their keepers."""
    spec: JsonObject = {"backoffLimit": 0, "completions": completions}
    job: JsonObject = {"apiVersion": "batch/v1", "kind": "Job", "spec": spec, "status": {}}
    pods = tuple(_pod(code, f"p{number}") for number, code in enumerate(codes))
    seen = as_if_released(Seen(job, pods), load_kinds().named("batch/v1", "Job"))
    assert seen.object is not None
    conditions = cast("list[JsonObject]", cast("JsonObject", seen.object["status"]).get("conditions", []))
    assert [one["type"] for one in conditions] == ([end] if end else [])


def test_a_refusal_that_is_no_missing_right_keeps_its_words() -> None:
    """Of a quota, for instance."""
    assert "exceeded quota" in str(forbidden('jobs.batch "x" is forbidden: exceeded quota: few'))
