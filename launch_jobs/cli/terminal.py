"""A program's output as a terminal may show it: in its colours, and without anything else that could steer it."""

from __future__ import annotations

import codecs
import os
import re

from launch_jobs.cli.output import printable

_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)(?P<parameters>[0-9:;<=>?]*)(?P<between>[ -/]*)(?P<final>[@-~])"  # CSI
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c|(?=\x1b)|$)"  # OSC, DCS, SOS, PM, APC
    r"|\x1b[ -/]*[0-~]"  # what is left of ESC
)
_RESET = "\x1b[0m"
_LONGEST = 1 << 20
_CONCEAL = 8
_WORDS = {"5": 1, "2": 3}
"""Numbers after 38, 48 or 58: a colour of the palette, or of red, green and blue."""


class TerminalText:
    """Turns raw output, in chunks, into text: whole lines, and the rest at the end."""

    def __init__(self, *, colours: bool | None = None) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._colours = not os.environ.get("NO_COLOR") if colours is None else colours
        self._rest = ""
        self._is_coloured = False

    def feed(self, chunk: bytes) -> str:
        """The lines that a chunk completes; of one that is very long, pieces."""
        text = self._rest + self._decoder.decode(chunk)
        whole, newline, self._rest = text.rpartition("\n")
        if len(self._rest) > _LONGEST:
            whole, newline, self._rest = text, "", ""
        return "".join(f"{self._line(line)}\n" for line in whole.split("\n")) if newline else self._line(whole)

    def end(self) -> str:
        """What is left, and the end of colours that were not ended."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        reset = _RESET if self._is_coloured else ""
        self._is_coloured = False
        return (f"{self._line(rest)}\n" if rest else "") + reset

    def _line(self, line: str) -> str:
        """One line: of a progress bar its last state."""
        last = line.rstrip("\r").rpartition("\r")[2].expandtabs()
        parts, at = list[str](), 0
        # What is between is printed on its own: pieces of it never come together to a sequence.
        for found in _SEQUENCE.finditer(last):
            parts += [printable(last[at : found.start()]), self._sequence(found)]
            at = found.end()
        return "".join([*parts, printable(last[at:])])

    def _sequence(self, found: re.Match[str]) -> str:
        parameters = found["parameters"]
        if found["final"] != "m" or found["between"] or not self._colours or re.search("[<=>?]", parameters):
            return ""
        parameters = parameters.replace(":", ";")
        if conceals(parameters):
            return ""
        self._is_coloured = parameters.strip("0;") != ""
        return f"\x1b[{parameters}m"


def conceals(parameters: str) -> bool:
    """Whether colours hide text that is there. Pure."""
    words = parameters.split(";")
    at = 0
    while at < len(words):
        if words[at].isdigit() and int(words[at]) == _CONCEAL:
            return True
        at += 1
        if words[at - 1] in {"38", "48", "58"} and at < len(words):
            at += 1 + _WORDS.get(words[at], 0)
    return False
