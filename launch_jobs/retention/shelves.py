"""All shelves of this machine, and what stands around them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from launch_jobs.client import wait_for
from launch_jobs.docker_access import docker_access
from launch_jobs.retention import Kind, Shelf
from launch_jobs.retention.engine import Images
from launch_jobs.retention.home import Datasets, Sources, Venvs
from launch_jobs.retention.needs import Needs, read_needs
from launch_jobs.retention.store import Blobs, Left, Parts, Runs

if TYPE_CHECKING:
    from launch_jobs.settings import LaunchSettings
    from launch_jobs.store.jobs import JobStore


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What shelves are looked at with.

    Attributes:
        settings: this machine's.
        store: the job store.
        needs: the runs on the server, at one moment.
        strangers: whether runs that the server does not know may go.
    """

    settings: LaunchSettings
    store: JobStore
    needs: Needs
    strangers: bool = False


def look_around(settings: LaunchSettings, store: JobStore, *, strangers: bool = False) -> Surroundings:
    """Ask the server for all runs; without its answer nothing is pruned.

    Raises:
        Unavailable: it does not answer.
    """
    return Surroundings(settings, store, wait_for(read_needs()), strangers)


def shelf(kind: Kind, around: Surroundings) -> Shelf:
    """The shelf of a kind."""
    left = Left(around.store, around.needs, strangers=around.strangers)
    make: dict[Kind, Callable[[], Shelf]] = {
        Kind.RUNS: lambda: Runs(left),
        Kind.LOGS: lambda: Parts(kind, left),
        Kind.OUTPUTS: lambda: Parts(kind, left),
        Kind.IMAGES: lambda: Images(wait_for(docker_access(around.settings)).base_url, around.needs),
        Kind.VENVS: lambda: Venvs(around.settings.home, around.needs.venvs(around.store, around.settings)),
        Kind.SOURCES: lambda: Sources(around.settings.home, around.needs),
        Kind.DATASETS: lambda: Datasets(around.settings.home, around.needs.datasets(around.store)),
        Kind.BLOBS: lambda: Blobs(around.store),
    }
    return make[kind]()
