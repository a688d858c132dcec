"""Artifacts: what a run shows of itself in the UI. Rendered purely, written thinly; no run fails by them."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import tempfile
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from uuid import UUID

from prefect import get_run_logger
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.context import FlowRunContext
from prefect.runtime import flow_run, task_run

from launch_jobs.build.progress import BuildProgress
from launch_jobs.card import Card, render_card
from launch_jobs.client import translated_errors
from launch_jobs.context import LaunchContext
from launch_jobs.errors import LaunchError
from launch_jobs.job import JobVersion, JsonObject
from launch_jobs.live_log import last_lines
from launch_jobs.markdown import code, code_block, plain
from launch_jobs.names import attempt_name
from launch_jobs.post_mortem import render_post_mortem, render_unmade
from launch_jobs.preparation import Prepared, Resolved, render
from launch_jobs.run import Failure, Outcome, OutputFile, Place
from launch_jobs.targets.configuration import DockerConfiguration

PLOT_LIMIT = 256 * 1024
"""Bytes of a plot that is shown: the UI's lists of artifacts carry their data."""

_MOST_PLOTS = 3
_MOST_ROWS = 500
_FIRST_ROWS = 4
_IMAGES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
_PATIENCE_S = 15.0


def metrics_artifact(version: JobVersion, metrics: JsonObject) -> ArtifactCreate:
    """The table of a run's metrics; the first ones are in its description, which the run's own page shows.

    It alone has a key, so that the UI has the metrics of all of a job's runs together. Artifacts with a key cost the
    server more, and the UI leads from a run to its key's history instead of to the artifact.
    """
    rows = [{"metric": plain(name), "value": _value(value)} for name, value in list(metrics.items())[:_MOST_ROWS]]
    first = ", ".join(f"{row['metric']} = {row['value']}" for row in rows[:_FIRST_ROWS])
    more = len(metrics) - len(rows[:_FIRST_ROWS])
    return ArtifactCreate(
        key=f"{re.sub('[^a-z0-9]+', '-', version.name)}-metrics",
        type="table",
        description=f"{first}{f' and {more} more' if more else ''}, of {code(version.label)}",
        data=json.dumps(rows),
    )


def _value(value: object) -> float | str:
    """Numbers as they are; truth as a word, for the UI shows nothing for it."""
    if isinstance(value, bool):
        return str(value).lower()
    return value if isinstance(value, int | float) else plain(str(value))


def plots_among(files: tuple[OutputFile, ...]) -> tuple[list[OutputFile], list[OutputFile]]:
    """The images among a run's outputs: those that are shown, and those that are too large or too many."""
    images = [file for file in files if PurePosixPath(file.path).suffix.lower() in _IMAGES]
    shown = [file for file in images if file.size <= PLOT_LIMIT][:_MOST_PLOTS]
    return shown, [file for file in images if file not in shown]


def plot_artifact(version: JobVersion, file: OutputFile, content: bytes) -> ArtifactCreate:
    """A plot, embedded: the browser shows it in an `<img>`, where no script in it runs."""
    kind = _IMAGES[PurePosixPath(file.path).suffix.lower()]
    return ArtifactCreate(
        type="image",
        description=f"{code(file.path)} of {code(version.label)}",
        data=f"data:{kind};base64,{base64.b64encode(content).decode()}",
    )


def more_plots_artifact(version: JobVersion, files: list[OutputFile], run: str) -> ArtifactCreate:
    """Names the plots that are not embedded, and says how to have them."""
    names = "\n".join(f"- {code(file.path)} ({file.size} bytes)" for file in files[:_MOST_ROWS])
    fetch = code_block(f"launch outputs {run} outputs")
    return ArtifactCreate(
        type="markdown",
        description=f"More plots of {code(version.label)}",
        data=f"More plots, too large or too many to show here:\n\n{names}\n\nFetch them with\n\n{fetch}\n",
    )


def card_artifact(context: LaunchContext, resolved: Resolved, prepared: Prepared) -> ArtifactCreate:
    """The job card of an attempt."""
    name = attempt_name(context.run, context.attempt)
    place = Place(kind="process", host="here", name=str(context.settings.home / "attempts" / name))
    card = Card(
        version=resolved.version,
        overrides=resolved.overrides,
        variables=context.variables[-1] if context.variables else {},
        queue=context.queue,
        spec=render(context, resolved, prepared, place),
        is_container=isinstance(resolved.configuration, DockerConfiguration),
        queue_env=frozenset(resolved.configuration.env),
    )
    return ArtifactCreate(
        type="markdown",
        description=f"Job card of {code(resolved.version.label)}: what runs, and how to have it again",
        data=render_card(card),
    )


@asynccontextmanager
async def card_shown(context: LaunchContext, resolved: Resolved, prepared: Prepared) -> AsyncGenerator[None]:
    """Show the job card while the body goes on; it costs the run no time."""

    async def show() -> None:
        await _write([card_artifact(context, resolved, prepared)])

    showing = asyncio.ensure_future(harmless(show()))
    try:
        yield
    finally:
        await showing


async def show_results(context: LaunchContext, version: JobVersion, outcome: Outcome) -> None:
    """Show what an attempt left: its metrics and plots, if there are any."""
    shown, others = plots_among(outcome.outputs.files)
    if outcome.outputs.metrics or shown or others:
        await harmless(_show_results(context, version, outcome, (shown, others)))


async def _show_results(
    context: LaunchContext,
    version: JobVersion,
    outcome: Outcome,
    plots: tuple[list[OutputFile], list[OutputFile]],
) -> None:
    artifacts = [metrics_artifact(version, outcome.outputs.metrics)] if outcome.outputs.metrics else []
    for file in plots[0]:
        content = await asyncio.to_thread(_content, context, outcome, file)
        artifacts.append(plot_artifact(version, file, content))
    if plots[1]:
        artifacts.append(more_plots_artifact(version, plots[1], outcome.run))
    await _write(artifacts)


def _content(context: LaunchContext, outcome: Outcome, file: OutputFile) -> bytes:
    with tempfile.TemporaryDirectory(prefix="launch-plot-") as folder:
        path = Path(folder) / "plot"
        context.store.get_output(outcome.run, outcome.attempt, file, path)
        return path.read_bytes()


async def show_end(context: LaunchContext, version: JobVersion, outcome: Outcome, last: Sequence[str]) -> None:
    """Show how an attempt ended, if not well: what kind of failure, its last lines, what was done to stop it."""
    if outcome.failure is not None or outcome.stopped is not None:
        await harmless(_show_end(context, version, outcome, last))


async def _show_end(context: LaunchContext, version: JobVersion, outcome: Outcome, last: Sequence[str]) -> None:
    # Whoever finds the outcome written has seen no line of it.
    lines = last or await asyncio.to_thread(_last_lines, context, outcome)
    end = render_post_mortem(version, outcome, lines)
    await _write([ArtifactCreate(type="markdown", description=f"How {code(version.label)} ended", data=end)])


def _last_lines(context: LaunchContext, outcome: Outcome) -> Sequence[str]:
    with tempfile.TemporaryDirectory(prefix="launch-log-") as folder:
        path = Path(folder) / "log"
        return last_lines(path) if context.store.get_log(outcome.run, outcome.attempt, path) else ()


async def show_unmade(version: JobVersion, failure: Failure, error: LaunchError, last: Sequence[str]) -> None:
    """Show why the image or environment of a run could not be made."""
    text = render_unmade(version, failure, str(error), last)
    artifact = ArtifactCreate(type="markdown", description=f"Why {code(version.label)} did not start", data=text)
    await harmless(_write([artifact]))


class BuildArtifact:
    """The progress bar of one build in the UI; nothing is there before its first `show`."""

    def __init__(self, version: JobVersion) -> None:
        self._version = version
        self._id: UUID | None = None

    async def show(self, progress: BuildProgress, text: str) -> None:
        """Write how far the build is."""
        description = f"{text}: {code(self._version.label)}"
        async with translated_errors(), get_client() as client:
            if self._id is not None:
                update = ArtifactUpdate(data=progress.percent, description=description)
                await client.update_artifact(self._id, update)
                return
            first = ArtifactCreate(type="progress", description=description, data=progress.percent)
            self._id = (await client.create_artifact(_linked(first))).id


async def _write(artifacts: list[ArtifactCreate]) -> None:
    async with translated_errors(), get_client() as client:
        there: set[tuple[str | None, str]] = set()
        if _worked_on_before():
            # Adopted: its former agent may have written them.
            mine = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[UUID(flow_run.get_id())]))
            written = await client.read_artifacts(artifact_filter=mine)
            there = {(artifact.key, str(artifact.data)) for artifact in written}
        for artifact in artifacts:
            if (artifact.key, str(artifact.data)) not in there:
                await client.create_artifact(_linked(artifact))


def _worked_on_before() -> bool:
    context = FlowRunContext.get()
    return context is not None and context.flow_run is not None and "launch.attempt" in context.flow_run.labels


def _linked(artifact: ArtifactCreate) -> ArtifactCreate:
    """The artifact with the flow run and task run it belongs to."""
    task = task_run.get_id()
    ids = {"flow_run_id": UUID(flow_run.get_id()), "task_run_id": UUID(task) if task else None}
    return artifact.model_copy(update=ids)


async def harmless(showing: Coroutine[object, object, None], *, seconds: float | None = _PATIENCE_S) -> None:
    """Await what only shows something: whatever goes wrong with it is a warning in the run's log."""
    try:
        async with asyncio.timeout(seconds):
            await showing
    except Exception as error:  # noqa: BLE001 - the border between a run and its decoration
        get_run_logger().warning("Not shown in the UI: %s: %s", type(error).__name__, error)
