"""What to look for before the scanner is loaded: byte patterns that every secret of a known shape has in it.

Loading the scanner takes a third of a second, and a clean tree never needs it. Each pattern begins with a plain text,
so that searching megabytes takes milliseconds.
"""

from __future__ import annotations

import math
import re
from collections import Counter

_AFTER_LINE = (
    *("gh[opusr]", "github_pat", "hf", "api_org", "wandb_v1", "npm", "k_live", "pn[ub]", "dckr_[op]at", "gsk", "r8"),
    "lsv2_[ps][tk]",
)
_AFTER_DASH = (
    *(r"(?<![A-Za-z0-9_])sk", "gl[dfr]t", "glpat", "gloas", "glsoat", "glcbt", "glptt", "glagent", "GOCSPX", "nvapi"),
    *("sq0csp", "pypi", "xapp", "xox[abposr]"),
)


def _after(sign: str, starts: tuple[str, ...], rest: str) -> str:
    """Tokens that start with a word and a sign: the sign first, for that is what can be searched fast."""
    return f"{re.escape(sign)}(?={rest})(?:" + "|".join(f"(?<={one}{re.escape(sign)})" for one in starts) + ")"


_PATTERNS = (
    _after("_", _AFTER_LINE, "[A-Za-z0-9]{20}"),
    _after("-", _AFTER_DASH, "[A-Za-z0-9_-]{14}"),
    _after(".", ("SG", "hvs"), "[A-Za-z0-9_-]{20}"),
    r"PRIVATE KEY(?: BLOCK)?-----",
    r"A(?:3T[A-Z0-9]|BIA|CCA|KIA|SIA)[0-9A-Z]{16}",
    r"AIza[0-9A-Za-z_-]{35}",
    r"AccountKey=[A-Za-z0-9+/]{40}",
    r"dapi[0-9a-f]{32}",
    r"://[^\s:/@'\"]*:[^\s/@'\"]+@",
    r"hooks\.slack\.com/services/T",
    r"\.eyJ[A-Za-z0-9_-]{4}",
    r"ecret(?:_access_key|AccessKey)",
    r"ECRET_ACCESS_KEY",
    r"wandb[\s\S]{0,80}?[0-9a-f]{40}",
    r"WANDB_API_KEY",
    r"assword=[^\s;]+;",
    r"PWD=[^\s;]+;",
    r"Pwd=[^\s;]+;",
)
_HINTS = tuple(re.compile(one.encode()) for one in _PATTERNS)

_ASSIGNED = tuple(re.compile(sign + rb"\s?[\"']([A-Za-z0-9+/_=-]{20,120})[\"']") for sign in (rb"=", rb":"))
_SENSITIVE = re.compile(rb"(?i)(?:passw(?:or)?d|passphrase|secret|token|api_?key|access_?key|credential)[\"']?\s*$")
_RANDOM_BITS = 4.0


def hints_at_secret(data: bytes) -> bool:
    """Whether the scanner should look at a file's content."""
    return any(hint.search(data) for hint in _HINTS)


def random_looking(data: bytes) -> int | None:
    """The line of the first value that is called a password, key or token and looks random, but has no known shape."""
    for pattern in _ASSIGNED:
        for found in pattern.finditer(data):
            value = found[1]
            before = data[max(0, found.start() - 60) : found.start()].rpartition(b"\n")[2]
            if _SENSITIVE.search(before) and _bits(value) >= _RANDOM_BITS and re.search(rb"\d", value):
                return data.count(b"\n", 0, found.start()) + 1
    return None


def _bits(value: bytes) -> float:
    """Shannon entropy, bits a character."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
