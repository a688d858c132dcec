"""The pure parts of the Kubernetes benchmark: what counts as seen, and the report made of figures."""

from __future__ import annotations

import pytest

from benchmarks.counting import request_name
from benchmarks.kubernetes.report import document, table
from benchmarks.kubernetes.sightings import at_work, complete

_SIZES = {"runs": 10, "burst": 20, "asleep": 200}


def _found(seconds: float) -> dict[str, object]:
    names = ("first_line_s", "running_s", "completed_s", "burst_running_s", "burst_s")
    return {"times": dict.fromkeys(names, seconds), "agent_mb": None, "one": None, "burst": None, "requests": None}


def test_goals_are_told_with_what_was_found() -> None:
    """Over plain kubectl, against the stock worker, and memory for as many runs as there were."""
    found = {"plain": _found(3.0), "ours": _found(3.6), "stock": _found(15.0), "memory": _memory(201.0)}
    goals = document(found, _SIZES, "v1.34.0")["goals"]
    assert {name: (goal["found"], goal["met"]) for name, goal in goals.items()} == {
        "over_plain_running_s": (0.6, True),
        "over_plain_completed_s": (0.6, True),
        "times_faster_than_stock": (4.17, False),
        "memory_mb_with_150": (201.0, False),
    }


def test_a_whole_report_has_a_row_for_each() -> None:
    """And ratios of their times over ours."""
    found = {name: _found(seconds) for name, seconds in (("plain", 2), ("ours", 2), ("stock", 20), ("tuned", 10))}
    text = table(document({**found, "memory": _memory(150.0)}, _SIZES, "v1.34.0"))
    assert text.count("\n| ") == 5
    assert "completed 10.0 (tuned 5.0)" in text
    assert "memory_mb_with_150 150 (at most 200)" in text


def _memory(megabytes: float) -> dict[str, object]:
    return {"idle": 140.0, "at_work": megabytes, "runs": 150, "threads": 9}


def test_a_pod_is_at_work_when_its_program_has_started() -> None:
    """Not by the container that keeps outputs; it is known by its run."""
    waiting, running = {"waiting": {"reason": "ContainerCreating"}}, {"running": {"startedAt": "now"}}
    labels = {"batch.kubernetes.io/job-name": "j", "launch-jobs.org/run": "r"}

    def pod(program: object, keeper: object) -> dict[str, object]:
        statuses = [{"name": "main", "state": program}, {"name": "launch-keeper", "state": keeper}]
        return {"metadata": {"labels": labels}, "status": {"containerStatuses": statuses}}

    assert at_work(pod(waiting, running)) is None
    assert at_work({"metadata": {"labels": labels}, "status": {}}) is None
    assert at_work(pod({"terminated": {"exitCode": 0}}, running)) == "r"


def test_a_job_is_complete_when_it_says_so() -> None:
    """A failed one never is."""
    job = {"metadata": {"name": "j"}, "status": {"conditions": [{"type": "Complete", "status": "True"}]}}
    assert complete(job) == "j"
    assert (
        complete({"metadata": {"name": "j"}, "status": {"conditions": [{"type": "Failed", "status": "True"}]}}) is None
    )


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (
            b"GET /api/v1/namespaces/n-1/pods/lj-0a-a1-x7k2p/log?follow=true HTTP/1.1\r\n",
            "GET /api/v1/namespaces/*/pods/*/log*",
        ),
        (b"GET /api/v1/namespaces/n-1/pods?watch=1 HTTP/1.1\r\n", "WATCH /api/v1/namespaces/*/pods*"),
        (b"DELETE /apis/batch/v1/namespaces/n/jobs/lj-0a-a1 HTTP/1.1\r\n", "DELETE /apis/batch/v1/namespaces/*/jobs/*"),
        (b"HTTP/1.1 200 OK\r\n", None),
    ],
)
def test_requests_are_counted_by_what_they_are(asked: bytes, name: str | None) -> None:
    """Not by whose pod it is; a list that is followed is no other one."""
    assert request_name(asked) == name
