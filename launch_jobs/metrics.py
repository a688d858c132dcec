"""What an agent counts, in Prometheus' terms. One process is one agent, so these are the process's own."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REGISTRY = CollectorRegistry()
"""Ours alone: Prefect keeps metrics of its own in the library's default one."""

_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)

QUEUED = Gauge("launch_agent_queued_runs", "Runs that wait in a queue and may start.", ("queue",), registry=REGISTRY)
RUNNING = Gauge("launch_agent_running_runs", "Runs that this agent works on.", registry=REGISTRY)
LIMIT = Gauge("launch_agent_max_runs", "Most runs at once on this agent; infinite: no limit.", registry=REGISTRY)
CLAIM_SECONDS = Histogram(
    "launch_agent_claim_latency_seconds",
    "From the moment at which a run may start to its claim, waiting for its turn included.",
    ("queue",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
BUILD_SECONDS = Histogram(
    "launch_agent_build_seconds",
    "To make what a run runs in, or to find it made.",
    ("kind",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
API_ERRORS = Counter(
    "launch_agent_api_errors", "Calls of the agent's loops that failed.", ("queue", "work"), registry=REGISTRY
)
