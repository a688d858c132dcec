"""Texts of others in Markdown: a job's parameters and file names show as they are, and never as markup or links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_LONGEST = 300
_PLAIN = re.compile(r"(?!.*\bwww\.)[A-Za-z0-9]+(?:[ _.%+-][A-Za-z0-9]+)*%?", re.IGNORECASE)
"""Words that no Markdown renderer takes for anything else."""


def visible(text: str, keep: str = "") -> str:
    """The text with every character that cannot be seen (controls, marks of writing direction) as its escape."""
    return "".join(
        char if char.isprintable() or char in keep else char.encode("unicode_escape").decode() for char in text
    )


def clipped(text: str, longest: int = _LONGEST) -> str:
    """The text, cut where it is too long to read."""
    return text if len(text) <= longest else text[:longest] + "…"


def code(text: str) -> str:
    """A code span: nothing in it is markup, whatever it is."""
    shown = clipped(visible(text))
    if not shown.strip():
        return f'`"{shown}"`'
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown[0] in "` " or shown[-1] in "` " else ""
    return f"{fence}{space}{shown}{space}{fence}"


def code_block(text: str, language: str = "sh") -> str:
    """A fenced block of one or more lines, as they are."""
    shown = visible(text, keep="\n")
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def plain(text: str) -> str:
    """The text itself if no renderer can take it for markup, else a code span.

    For cells of table artifacts: one of Prefect's two UIs renders them as Markdown, the other shows them as they are.
    """
    return text if len(text) <= _LONGEST and _PLAIN.fullmatch(text) else code(text)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of code spans. A pipe ends a cell even inside one, and renderers differ on its escape: it is spelled."""
    head = [f"| {' | '.join(headers)} |", f"|{'---|' * len(headers)}"]
    return "\n".join([*head, *(f"| {' | '.join(code(cell.replace('|', _PIPE)) for cell in row)} |" for row in rows)])


_PIPE = "\\u007c"


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
