"""An agent's health: what a supervisor and Prometheus are told, and its log for machines."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Generator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from launch_jobs.errors import Unavailable
from launch_jobs.workers.health import Health, HealthServer


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.fixture
def health() -> Health:
    """Of an agent that has just begun."""
    return Health()


@pytest.fixture
def server(health: Health) -> Generator[HealthServer]:
    """On a free port; closed after the test."""
    server = HealthServer(health, 0)
    yield server
    server.close()


def test_an_agent_that_works_is_well(server: HealthServer, health: Health) -> None:
    """Before it reached its server, and while any of its loops fails, it is not, and says why."""
    assert _get(f"{server.url}/healthz") == (503, "blind: it has not reached its server yet\n")
    health.well("gpu", "claim")
    assert _get(f"{server.url}/healthz") == (200, "ok\n")
    health.ill("gpu", "watch cancels", "the server does not answer")
    health.well("gpu", "claim")
    assert _get(f"{server.url}/healthz") == (503, "blind: gpu, watch cancels: the server does not answer\n")
    health.well("gpu", "watch cancels")
    assert _get(f"{server.url}/healthz")[0] == 200


def test_metrics_are_in_prometheus_form(server: HealthServer, health: Health) -> None:
    """A failed call is counted by queue and work; another path is not there."""
    health.ill("counted", "adopt", "no")
    families = {family.name: family for family in text_string_to_metric_families(_get(f"{server.url}/metrics")[1])}
    errors = {tuple(one.labels.values()): one.value for one in families["launch_agent_api_errors"].samples}
    assert errors["counted", "adopt"] == 1
    names = ("queued_runs", "running_runs", "max_runs", "claim_latency_seconds", "build_seconds")
    assert {f"launch_agent_{name}" for name in names} <= families.keys()
    assert _get(f"{server.url}/else")[0] == 404


def test_it_answers_on_loopback_only_and_says_when_it_cannot(server: HealthServer, health: Health) -> None:
    """Nobody else can ask; a port that is taken is told with what to do."""
    port = int(server.url.rpartition(":")[2])
    with socket.socket() as other, pytest.raises(OSError):
        other.connect((_own_address(), port))
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
        HealthServer(health, port)


def _own_address() -> str:
    """This machine's address on the way out, else one of loopback that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return probe.getsockname()[0]


def test_a_json_log_has_one_object_a_line() -> None:
    """Also for text of several lines, with the run that it is about."""
    program = (
        "import logging; from launch_jobs.workers.json_logs import log_json_lines;"
        "logging.basicConfig(level='INFO'); log_json_lines(); logger = logging.getLogger('launch_jobs.agent');"
        "logger.warning('one\\ntwo %s', 3, extra={'flow_run_id': 'r1'}); logger.error('next')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = (json.loads(line) for line in done.stderr.splitlines())
    assert (first["message"], first["level"], first["run"]) == ("one\ntwo 3", "warning", "r1")
    assert (second["message"], "run" in second) == ("next", False)
