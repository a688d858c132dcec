"""Keeps secrets out of an output on its way home: their values, and the forms in which programs print them.

Best effort, as anywhere: a program that prints its secret backwards has printed it.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = b"[secret]"
LEAST = 4
"""Fewer bytes cannot be told from other text; such a value is no secret."""

_LEAST_PART = 8
_EVERYTHING = re.compile(rb"[^\r\n]+")


class Redactor:
    """Replaces values in a stream of bytes, wherever the stream is cut.

    Args:
        values: to be replaced; None: nobody knows them, so that every line is.
    """

    def __init__(self, values: Iterable[bytes] | None) -> None:
        self._forms = sorted({form for value in values or () for form in forms(value)}, key=len, reverse=True)
        self._longest = max((len(form) for form in self._forms), default=0)
        self._pattern = re.compile(b"|".join(re.escape(form) for form in self._forms))
        if values is None:
            self._pattern = _EVERYTHING

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """What can go on, and the end that may be the beginning of a value: to be put before what comes next."""
        safe, at, hold = bytearray(), 0, self._hold(data, 0)
        while (match := self._pattern.search(data, at)) and match.start() < hold and match.end() > match.start():
            safe += data[at : match.start()] + MASK
            at = match.end()
            hold = hold if hold >= at else self._hold(data, at)
        return bytes(safe + data[at:hold]), data[hold:]

    def end(self, held: bytes) -> bytes:
        """What was held when nothing comes any more."""
        return self._pattern.sub(MASK, held) if self._pattern.pattern else held

    def _hold(self, data: bytes, at: int) -> int:
        """Where the first value may begin that is not whole yet."""
        start = max(at, len(data) - max(0, self._longest - 1))
        tail = data[start:]
        found = [_unfinished(tail, form) for form in self._forms]
        return start + min(found, default=len(tail))


def _unfinished(tail: bytes, form: bytes) -> int:
    """Where in a tail a form begins that the tail ends in the middle of; its length if none does."""
    place = tail.find(form[:1], max(0, len(tail) - len(form) + 1))
    while place >= 0:
        if form.startswith(tail[place:]):
            return place
        place = tail.find(form[:1], place + 1)
    return len(tail)


def forms(value: bytes) -> Iterator[bytes]:
    """A value as programs print it: itself, its long lines, base64 wherever it begins, hex, URL and JSON."""
    for part in {value, value.strip(), *(line.strip() for line in value.splitlines())}:
        if len(part) >= (LEAST if part in {value, value.strip()} else _LEAST_PART):
            yield part
            yield from (form for form in _encoded(part) if len(form) >= _LEAST_PART)


def _encoded(part: bytes) -> Iterator[bytes]:
    for before in range(3):
        # Of bytes in the midst of others, only the groups of six bits that are all theirs are the same everywhere.
        first = -(-before * 8 // 6)
        whole = (before + len(part)) * 8 // 6
        text = b64encode(bytes(before) + part)[first:whole]
        yield text
        yield text.translate(bytes.maketrans(b"+/", b"-_"))
    yield part.hex().encode()
    yield part.hex().upper().encode()
    yield quote(part).encode()
    yield quote(part, safe="").encode()
    yield quote_plus(part).encode()
    try:
        text = part.decode()
    except UnicodeDecodeError:
        return
    yield json.dumps(text)[1:-1].encode()
    yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
    yield repr(text)[1:-1].encode()
