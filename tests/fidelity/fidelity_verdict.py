"""What a program did here, what its job did elsewhere, and the causes of each difference. Pure."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Patterns = Sequence[re.Pattern[str]]


@dataclass(frozen=True)
class Done:
    """A program's end.

    Attributes:
        state: of the run, as the server says it; `captured` for the one that was captured.
        exit_code: the program's own.
        out: what it printed; on a queue its errors are among it.
        err: what it printed as errors, where that is told apart.
        files: output path → digest.
        reason: why it ended so, where that is not the program's doing.
    """

    state: str
    exit_code: int | None
    out: str
    err: str = ""
    files: dict[str, str] = field(default_factory=dict[str, str])
    reason: str = ""


def differences(here: Done, there: Done, ignore: Patterns, files: Patterns) -> list[str]:
    """Why the two ends are not the same; nothing if they are."""
    found: list[str] = []
    if here.exit_code != there.exit_code:
        found.append(f"exit code {there.exit_code} instead of {here.exit_code}: {cause(there)}")
    found += _output(here, there, ignore)
    return found + _files(here.files, there.files, files)


def cause(done: Done) -> str:
    """The line that tells best why a run ended badly."""
    lines = [line.strip() for line in (done.err or done.out).splitlines() if line.strip()]
    return (lines[-1] if lines and done.exit_code else done.reason or "nothing said")[:300]


def _output(here: Done, there: Done, ignore: Patterns) -> list[str]:
    expected = kept(here.out, ignore)
    errors = Counter(kept(here.err, ignore))
    told = list(_without(kept(there.out, ignore), errors))
    if expected == told:
        return []
    changes = [
        line for line in difflib.unified_diff(expected, told, lineterm="", n=0) if line[:2] not in {"--", "++", "@@"}
    ]
    return [f"stdout differs: {' | '.join(changes[:4])[:400]}"]


def kept(text: str, ignore: Patterns) -> list[str]:
    """The lines that must agree."""
    return [line for line in text.splitlines() if not any(pattern.search(line) for pattern in ignore)]


def _without(lines: Iterable[str], errors: Counter[str]) -> Iterable[str]:
    for line in lines:
        if errors[line]:
            errors[line] -= 1
        else:
            yield line


def _files(here: dict[str, str], there: dict[str, str], ignore: Patterns) -> list[str]:
    found = [f"output {path} is missing" for path in sorted(here.keys() - there.keys())]
    found += [f"output {path} is new" for path in sorted(there.keys() - here.keys())]
    differ = [path for path in sorted(here.keys() & there.keys()) if here[path] != there[path]]
    return found + [f"output {path} differs" for path in differ if not any(one.search(path) for one in ignore)]
