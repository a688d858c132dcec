"""The part of `launch submit` that puts one run for each of many sets of parameters on a queue."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from launch_jobs.cli.output import emit, facts, next_command, table
from launch_jobs.cli.session import Session, wait

if TYPE_CHECKING:
    from pathlib import Path

    from launch_jobs.job import JsonObject
    from launch_jobs.run import RunInfo
    from launch_jobs.submission import Submission


def submit_sets(session: Session, common: Submission, file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Submit a run for each set of parameters in a file, or say what would be sent; and print them."""
    from launch_jobs.batch import prepare_batch, spread
    from launch_jobs.cli.batch_file import read_batch_file
    from launch_jobs.cli.present import run_row

    submissions = spread(common, read_batch_file(file))
    if dry_run:
        requests = wait(prepare_batch(submissions, session.store))
        if as_json:
            emit([request.model_dump(mode="json") for request in requests])
            return
        facts([("job", requests[0].job_label), ("content", requests[0].job), ("queue", requests[0].queue)])
        table(("run", "parameters"), [_request_row(request.body) for request in requests])
        next_command("the same without --dry-run")
        return
    runs = _submit(session, submissions, common.key)
    if as_json:
        emit([run.model_dump(mode="json") for run in runs])
        return
    table(("run", "queue", "parameters", "state", "duration", "metrics", "submitted"), map(run_row, runs))
    next_command(f"launch list, or launch why {runs[-1].name}")


def _request_row(body: JsonObject) -> tuple[str, str]:
    from launch_jobs.cli.present import pairs_text

    whole = cast("JsonObject", body["parameters"])
    return str(body["name"]), pairs_text(cast("JsonObject", whole["parameters"]))


def _submit(session: Session, submissions: list[Submission], key: str | None) -> list[RunInfo]:
    from launch_jobs.batch import submit_batch
    from launch_jobs.runs import show_runs

    async def submit_and_show() -> list[RunInfo]:
        runs = await submit_batch(submissions, session.store, key=key)
        return await show_runs([run.id for run in runs], session.store)

    return wait(submit_and_show())
