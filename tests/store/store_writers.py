"""What the writing processes of the store's tests do; a module of its own, so that a fresh process can import it."""

from __future__ import annotations

import itertools
import os
import signal
import sys

from store_samples import make_job

from launch_jobs.errors import StoreConflict
from launch_jobs.job import Origin
from launch_jobs.store.jobs import open_store

CHANGES = {"os.mkdir", "os.link", "os.rename", "os.remove"}
"""Audit events (PEP 578) of calls that change a file system; opening a file to create it is the fifth."""


def publish(url: str, words: list[str]) -> list[tuple[str, int]]:
    """Add jobs under one name; which version each became."""
    store = open_store(url)
    return [(word, store.add("digits", make_job(word), Origin()).version) for word in words]


def move_alias(url: str, version: int) -> bool:
    """Try to move an alias away from version 0; whether this process did."""
    try:
        open_store(url).set_alias("digits", "best", version, expected=0)
    except StoreConflict:
        return False
    return True


def publish_and_die(url: str, words: list[str], step: int) -> None:
    """Add jobs under one name, and die by SIGKILL before the given change of the file system; or come to the end."""
    steps = itertools.count()

    def die(event: str, args: tuple[object, ...]) -> None:
        creates = event == "open" and isinstance(flags := args[2], int) and bool(flags & os.O_CREAT)
        if (creates or event in CHANGES) and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    publish(url, words)
    os._exit(0)
