"""What of a notebook's cell is not Python: IPython's magics, shell lines and help. Pure.

No Python statement begins with `%`, `!` or `?`, so a line that does, and is not inside brackets or a string of several
lines, is IPython's.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass, field

_LINE = re.compile(r"(?P<indent>\s*)(?P<sign>%|!|\?)")
_HELP = re.compile(r"\s*%{0,2}[A-Za-z_*][\w.*]*\?{1,2}\s*")
_ASSIGNED = re.compile(r"\s*[A-Za-z_][\w.,\s\[\]*()]*=\s*[%!]")
_BARE = re.compile(r"\s*(pip3?|conda|mamba|uv)\s+(install|uninstall|remove|pip)\b")  # automagic
_KERNEL = re.compile(r"\s*[^#]*\bget_ipython\(\)\s*\.")

_CELL_DROPPED = frozenset(("html", "javascript", "js", "latex", "markdown", "svg", "timeit"))
_UNWRAPPED = frozenset(("time", "prun", "capture"))
_DROPPED = frozenset(
    ("autoreload", "autosave", "config", "lsmagic", "matplotlib", "precision", "tensorboard", "timeit", "who", "whos")
)
_EXTENSIONS = frozenset(("autoreload", "tensorboard"))


@dataclass(frozen=True, slots=True)
class Magic:
    """A line that only IPython can run.

    Attributes:
        line: its number in the cell, from 1.
        text: as written.
    """

    line: int
    text: str


@dataclass(slots=True)
class PlainCell:
    """A cell without its harmless magics.

    Attributes:
        text: Python, and of what is in `magics` nothing.
        magics: what only IPython can run.
        dropped: magics that were left out, for they only time, show or look.
    """

    text: str = ""
    magics: list[Magic] = field(default_factory=list[Magic])
    dropped: list[str] = field(default_factory=list[str])


def plain_cell(text: str) -> PlainCell:
    """Take a cell apart."""
    found = PlainCell()
    lines = text.splitlines()
    first = next((index for index, line in enumerate(lines) if line.strip()), 0)
    if lines[first].startswith("%%"):
        if not _take_cell_magic(lines, first, found):
            return found
        lines[first] = ""
    taken: list[str] = []
    goes_on = False
    for number, line in enumerate(lines, 1):
        if goes_on:
            goes_on = line.endswith("\\")
            taken.append("")
        elif _looks_like_magic(line) and not _inside(taken):
            taken.append(_python_of(line, number, found))
            goes_on = line.endswith("\\")
        else:
            taken.append(line)
    found.text = "\n".join(taken)
    return found


def _take_cell_magic(lines: list[str], first: int, found: PlainCell) -> bool:
    """Judge a magic of a whole cell; whether the rest of the cell is Python that still runs."""
    name, *words = lines[first][2:].split() or [""]
    if name in _UNWRAPPED and not (name == "capture" and words):  # captured into a variable, it is used later
        return True
    if name in _CELL_DROPPED:
        found.dropped.append(f"%%{name}")
    else:
        found.magics.append(Magic(first + 1, lines[first]))
    return False


def _looks_like_magic(line: str) -> bool:
    if _KERNEL.match(line):
        return True
    return bool(_LINE.match(line) or _HELP.fullmatch(line) or _ASSIGNED.match(line) or _BARE.match(line))


def _python_of(line: str, number: int, found: PlainCell) -> str:
    """What is to run in the place of a magic: its statement, or nothing."""
    start = _LINE.match(line)
    indent = line[: len(line) - len(line.lstrip())]
    if _HELP.fullmatch(line) or (start and start["sign"] == "?"):
        return f"{indent}pass"
    words = line.strip()[1:].split(maxsplit=1) if start and start["sign"] == "%" else []
    name, rest = (*words, "", "")[:2]
    if name in _UNWRAPPED and rest:
        return indent + rest
    if name in _DROPPED or (name in ("load_ext", "reload_ext") and rest.strip() in _EXTENSIONS):
        found.dropped.append(f"%{name}")
        return f"{indent}pass"
    found.magics.append(Magic(number, line))
    return f"{indent}pass"


def _inside(before: list[str]) -> bool:
    """Whether these lines end within brackets, a string of several lines, or a line that goes on."""
    if before and before[-1].endswith("\\"):
        return True
    try:
        for _ in tokenize.generate_tokens(io.StringIO("\n".join(before) + "\n").readline):
            pass
    except tokenize.TokenError as error:
        return "multi-line" in str(error) or "triple-quoted" in str(error)
    except SyntaxError:
        return False
    return False
