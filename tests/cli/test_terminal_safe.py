"""What programs print steers no terminal (RELIABILITY T22): payloads that were used against people, and any bytes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.cli.terminal import TerminalText

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def _shown(*chunks: bytes, colours: bool = True) -> str:
    text = TerminalText(colours=colours)
    return "".join(text.feed(chunk) for chunk in chunks) + text.end()


@pytest.mark.parametrize(
    ("log", "text"),
    [
        (b"\x1b[31mred\x1b[0m\r\n", "\x1b[31mred\x1b[0m\n"),
        (b"\x1b[1;38;5;8mpalette\x1b[m\n", "\x1b[1;38;5;8mpalette\x1b[m\n"),
        (b"\x1b[38:2::1:2:3mtrue\x1b[m\n", "\x1b[38;2;;1;2;3mtrue\x1b[m\n"),
        (b"\x1b[8mhidden\x1b[0m\n", "hidden\x1b[0m\n"),
        (b"\x1b[1;8mhidden\n", "hidden\n"),
        (b"10 %\r20 %\r\n", "20 %\n"),
        (b"a\tb\n", "a       b\n"),
        (b"\x1b]0;title\x07text\n", "text\n"),
        (b"\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\\n", "link\n"),
        (b"\x1b]52;c;Y3VybCBldmlsfHNo\x07copied\n", "copied\n"),
        (b"\x1b]1337;File=inline=1:AAAA\x07image\n", "image\n"),
        (b"\x1bP+q544e\x1b\\dcs\n", "dcs\n"),
        (b"\x1b_apc\x1b\\\x1b^pm\x1b\\\x1bXsos\x1b\\rest\n", "rest\n"),
        (b"\x1b[2J\x1b[H\x1b[1A\x1b[2Kover\n", "over\n"),
        (b"\x1b[?1049h\x1b[?25lscreen\n", "screen\n"),
        (b"\x1b[6n\x1b[c\x1b[>c\x1b[5nanswers\n", "answers\n"),
        (b"\x1bc\x1b7\x1b8\x1b(0\x1b#8reset\n", "reset\n"),
        (b"\x1b[>4;2mkeys\n", "keys\n"),
        (b"\xc2\x9b2J\xc2\x9d0;t\xc2\x9ceight\n", "eight\n"),
        (b"\x1b\x1b[31m[2J\n", "\\x1b\x1b[31m[2J\n\x1b[0m"),
        (b"bell\x07 back\x08 null\x00\n", "bell\\x07 back\\x08 null\\x00\n"),
        ("safe\u202egpj.exe\n".encode(), "safe\\u202egpj.exe\n"),
        ("zero\u200bwidth\n".encode(), "zero\\u200bwidth\n"),
        (b"never ended \x1b]0;title\nnext\n", "never ended \nnext\n"),
        (b"\x1b[31mleft on\n", "\x1b[31mleft on\n\x1b[0m"),
        (b"no end", "no end\n"),
        ("Läufe 試行\n".encode(), "Läufe 試行\n"),
        (b"\xff\xfe\n", "\N{REPLACEMENT CHARACTER}" * 2 + "\n"),
    ],
)
def test_a_payload(log: bytes, text: str) -> None:
    """Colours stay, and end with the log; what moves, asks, names or hides is not there."""
    assert _shown(log) == text


@given(
    st.lists(st.binary(max_size=20) | st.sampled_from([b"\x1b[", b"\x1b]", b"\x1b", b"31m", b"\r", b"\n", b"\xc2\x9b"]))
)
def test_nothing_but_colours_can_steer(chunks: list[bytes]) -> None:
    """Whatever the bytes, and however they are cut, what is not a colour is printable."""
    assert COLOUR.sub("", _shown(*chunks)).replace("\n", "").isprintable()
    assert _shown(*chunks) == _shown(b"".join(chunks))
    assert "\x1b" not in _shown(*chunks, colours=False)


def test_a_long_line_is_not_waited_for() -> None:
    """Memory is bounded: pieces of it are shown."""
    text = TerminalText(colours=True)
    assert len("".join(text.feed(b"x" * 100_000) for _ in range(50))) > 3_000_000
