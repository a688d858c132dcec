"""Every private name of Prefect that we touch, in one place; `tests/workers/test_prefect_internals.py` holds each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prefect.workers.base import BaseWorker


def pool_name(worker: BaseWorker[Any, Any, Any]) -> str:
    """The work pool a worker was started for."""
    return worker._work_pool_name  # pyright: ignore[reportPrivateUsage]


def work_queue_names(worker: BaseWorker[Any, Any, Any]) -> list[str]:
    """The work queues a worker was told to serve; empty for all."""
    return sorted(worker._work_queues)  # pyright: ignore[reportPrivateUsage]


def run_limit(worker: BaseWorker[Any, Any, Any]) -> int | None:
    """The worker's `--limit`."""
    return worker._limit  # pyright: ignore[reportPrivateUsage]


def has_pool(worker: BaseWorker[Any, Any, Any]) -> bool:
    """Whether the worker has read its work pool from the server yet."""
    return worker._work_pool is not None  # pyright: ignore[reportPrivateUsage]
