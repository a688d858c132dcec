"""How an attempt ended otherwise than well, for people who look at it in the UI. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from launch_jobs.job import JobVersion
from launch_jobs.markdown import code, code_block
from launch_jobs.run import Failure, Outcome

_LONGEST = 60_000


def render_post_mortem(version: JobVersion, outcome: Outcome, last_lines: Sequence[str]) -> str:
    """An attempt's end as Markdown, in which every text of others is code."""
    parts = [f"# {_title(outcome)}", "\n".join(f"- {name}: {value}" for name, value in _facts(version, outcome))]
    if outcome.stopped:
        moments = outcome.stopped.model_dump(exclude_none=True)
        parts += ["## Stopped", "\n".join(f"- {_STEPS[step]}: {code(moment)}" for step, moment in moments.items())]
    if outcome.events:
        parts += ["## Events", code_block("\n".join(outcome.events), "text")]
    return "\n\n".join([*parts, *_tail(last_lines), f"Whole log:\n\n{code_block(f'launch logs {outcome.run}')}"]) + "\n"


def render_unmade(version: JobVersion, failure: Failure, message: str, last_lines: Sequence[str]) -> str:
    """The same of a run whose image or environment could not be made."""
    facts = f"- job: {code(version.label)}\n- failure: {failure}\n- what: {code(message)}"
    return "\n\n".join([f"# Not started: {failure}", facts, *_tail(last_lines)]) + "\n"


_STEPS = {
    "asked": "asked for",
    "signalled": "SIGTERM sent",
    "killed": "SIGKILL sent",
    "gone": "verified that nothing of it runs",
}


def _title(outcome: Outcome) -> str:
    what = outcome.failure.value if outcome.failure else outcome.state.value
    return f"Attempt {outcome.attempt}: {what}"


def _facts(version: JobVersion, outcome: Outcome) -> list[tuple[str, str]]:
    peak = outcome.peak_memory_bytes
    facts = [
        ("job", code(version.label)),
        ("end", code(outcome.message)),
        ("what to do", code(outcome.hint) if outcome.hint else ""),
        ("exit code", "" if outcome.exit_code is None else str(outcome.exit_code)),
        ("signal", "" if outcome.signal is None else str(outcome.signal)),
        (f"peak memory of its {_measured(outcome)}", "" if peak is None else f"{peak / 1e6:.0f} MB"),
        ("started", code(outcome.started) if outcome.started else ""),
        ("ended", code(outcome.ended)),
        ("place", code(outcome.place)),
    ]
    return [(name, value) for name, value in facts if value]


def _measured(outcome: Outcome) -> str:
    return "container" if outcome.place.startswith("docker:") else "largest process"


def _tail(lines: Sequence[str]) -> list[str]:
    text = "\n".join(lines)[-_LONGEST:]
    return [f"## Last {len(lines)} lines", code_block(text, "text")] if text.strip() else []
