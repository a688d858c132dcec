"""Which values any reader of JSON takes as they are: a parameter passes through several. Pure."""

from __future__ import annotations

import math
from typing import cast

DEEPEST = 64
_INTEGERS = range(-(1 << 63), 1 << 64)
"""What the server's JSON can hold."""


def why_not_plain(value: object, depth: int = DEEPEST) -> str | None:
    """What keeps a value from being plain JSON, in words that follow "it is" or "it has"; None if nothing does."""
    if isinstance(value, (list, dict)):
        return _why_not_inside(cast("list[object] | dict[object, object]", value), depth)
    if value is None or isinstance(value, bool):
        return None
    if isinstance(value, str):
        return None if value.isascii() or _is_text(value) else "it has half a character (a lone surrogate)"
    if isinstance(value, float):
        return None if math.isfinite(value) else "it is not finite"
    if isinstance(value, int):
        return None if value in _INTEGERS else "it has more than 64 bits"
    return f"it is no JSON value but {type(value).__name__}"


def _why_not_inside(value: list[object] | dict[object, object], depth: int) -> str | None:
    if not depth:
        return f"it is nested deeper than {DEEPEST} levels"
    inner = [*value, *value.values()] if isinstance(value, dict) else value
    if isinstance(value, dict) and not all(isinstance(name, str) for name in value):
        return "it has a key that is no text"
    return next((why for one in inner if (why := why_not_plain(one, depth - 1))), None)


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
