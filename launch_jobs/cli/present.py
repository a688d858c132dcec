"""Runs, jobs and values, told to people. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import JsonValue

    from launch_jobs.job import JobVersion, Parent
    from launch_jobs.run import OutputFile, RunInfo, Stopped

_STEPS = (("d", 86400), ("h", 3600), ("min", 60))


def value_text(value: JsonValue) -> str:
    """A value in a table: numbers short, text as it is, nothing for null."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.5g}"
    if isinstance(value, str):
        return value
    from launch_jobs.names import canonical_json

    return canonical_json(value).decode(errors="replace")


def pairs_text(values: Mapping[str, JsonValue]) -> str:
    """`lr=0.1 epochs=3`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in values.items())


def duration_text(seconds: float | None) -> str | None:
    """`0.8 s`, `12 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return None
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def ago_text(moment: str | None, now: datetime | None = None) -> str | None:
    """How long ago an ISO 8601 moment was: `5 min ago`."""
    if moment is None:
        return None
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(moment)).total_seconds()
    for unit, size in _STEPS:
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} ago"
    return "just now"


def size_text(size: float) -> str:
    """Bytes in decimal units: `1.2 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def run_row(run: RunInfo) -> tuple[str | None, ...]:
    """A run's row in `launch list`."""
    return (
        run.name,
        run.queue,
        pairs_text(run.parameters),
        run.state.value,
        duration_text(run.duration_s),
        pairs_text(run.metrics),
        ago_text(run.submitted),
    )


def run_facts(run: RunInfo) -> list[tuple[str, object]]:
    """A run as `launch show` tells it."""
    state = run.state.value
    return [
        ("run", run.name),
        ("id", run.id),
        ("state", state if run.state_name.lower() == state else f"{state} ({run.state_name})"),
        ("reason", run.reason),
        ("exit code", run.exit_code),
        ("failure", run.failure),
        ("hint", run.hint),
        ("signal", run.signal and signal_name(run.signal)),
        ("peak memory", run.peak_memory_bytes and size_text(run.peak_memory_bytes)),
        ("stopped", stopped_text(run.stopped) if run.stopped else None),
        ("job", run.job_label or run.job),
        ("queue", run.queue),
        ("priority", run.priority),
        ("parameters", pairs_text(run.parameters)),
        ("metrics", pairs_text(run.metrics)),
        ("submitted", run.submitted),
        ("started", run.started),
        ("ended", run.ended),
        ("duration", duration_text(run.duration_s)),
        ("attempt", run.attempt),
        ("place", run.place),
        ("image", run.image),
        ("outputs", outputs_text(run.outputs)),
    ]


def signal_name(number: int) -> str:
    """`SIGKILL (9)`."""
    from signal import Signals

    return f"{Signals(number).name} ({number})" if number in set(Signals) else str(number)


def stopped_text(stopped: Stopped) -> str:
    """`asked 10:00:00.1, SIGTERM 10:00:00.2, SIGKILL 10:00:10.2, gone 10:00:10.4 UTC`."""
    moments = (
        ("asked", stopped.asked),
        ("SIGTERM", stopped.signalled),
        ("SIGKILL", stopped.killed),
        ("gone", stopped.gone),
    )
    told = [f"{what} {datetime.fromisoformat(moment):%H:%M:%S.%f}"[:-3] for what, moment in moments if moment]
    return ", ".join(told) + " UTC"


def outputs_text(files: tuple[OutputFile, ...]) -> str | None:
    """`3 files, 1.2 MB`."""
    if not files:
        return None
    return f"{len(files)} file{'s' * (len(files) != 1)}, {size_text(sum(file.size for file in files))}"


def job_document(version: JobVersion) -> dict[str, JsonValue]:
    """A job version in JSON: what every command says of one."""
    return {
        "name": version.name,
        "version": f"v{version.version}",
        "digest": version.digest,
        "reference": version.reference,
        "created": version.created,
    }


def parent_text(parent: Parent) -> str:
    """What a job was made from, in a few words."""
    run = f"run {parent.run}" + (f" of {parent.job}" if parent.job else "")
    return {"run": run, "checkout": f"{parent.job} (checked out)", "outputs": f"{run} (its outputs)"}[parent.how]


def source_text(version: JobVersion) -> str:
    """A job's source in a few words."""
    source = version.job.source
    if source.type == "image":
        bound = "" if source.digest else " (by its id, on the engine that has it only)"
        return f"image {source.reference}{bound}"
    if source.type == "git":
        remote = f" of {version.origin.remote}" if version.origin.remote else ""
        return f"git {source.commit[:12]}{remote}" + (" + changes" if version.origin.patch else "")
    return "code"
