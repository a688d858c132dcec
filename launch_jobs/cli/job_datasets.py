"""A job's datasets, and what its tracked runs read and wrote besides, told to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from launch_jobs.cli.output import table
from launch_jobs.cli.present import size_text

if TYPE_CHECKING:
    from launch_jobs.job import CaptureRecord, JobVersion, SeenData

_LISTED = 10


def print_datasets(version: JobVersion, records: list[CaptureRecord]) -> None:
    """The declared datasets, then of the latest run what it read that no dataset covers, and what it wrote."""
    origins = version.origin.datasets
    rows = [
        (
            one.name,
            one.url,
            origins[one.name].files if one.name in origins else None,
            size_text(origins[one.name].size) if one.name in origins else None,
            (one.digest or "")[7:19],
            origins[one.name].declared if one.name in origins else None,
        )
        for one in version.job.datasets
    ]
    if rows:
        click.echo()
        table(("dataset (--dataset)", "from", "files", "size", "digest", "declared as"), rows)
    if not records:
        return
    from launch_jobs.capture.inputs_seen import undeclared

    _print_seen("read, not in the job", undeclared(records[-1].read, version.job.datasets))
    _print_seen("written", list(records[-1].written))


def _print_seen(title: str, found: list[SeenData]) -> None:
    if not found:
        return
    click.echo()
    rows = [(one.path, _size(one), (one.digest or "")[7:19] or one.version or "") for one in found[:_LISTED]]
    if len(found) > _LISTED:
        rows.append((f"… and {len(found) - _LISTED:,} more (--json)", "", ""))
    table((title, "size", "digest"), rows)


def _size(one: SeenData) -> str:
    return "" if one.size is None else size_text(one.size)
