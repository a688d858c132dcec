"""Texts of others in Markdown, as a Markdown parser takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from launch_jobs.markdown import code, code_block, plain, table

HOSTILE = st.text(st.sampled_from("ab `|\\*_[]()<>!&#\n\t\r~:/.w-+1\u202e\x00"), max_size=30)


def _inline(text: str) -> list[Token]:
    return [part for token in MarkdownIt("commonmark").enable("table").parse(text) for part in token.children or []]


@given(HOSTILE)
def test_a_code_span_is_code_and_nothing_else(text: str) -> None:
    """Whatever the text is, the parser sees one code span."""
    assert [token.type for token in _inline(f"before {code(text)} after")] == ["text", "code_inline", "text"]


@given(st.text(st.sampled_from("ab`[]()<|\\*_ "), min_size=1, max_size=30).filter(str.strip))
def test_a_code_span_shows_the_text_itself(text: str) -> None:
    """What can be seen is not changed."""
    assert _inline(code(text))[0].content == text


@given(HOSTILE)
def test_a_block_is_one_block(text: str) -> None:
    """No text ends the fence around it."""
    tokens = MarkdownIt("commonmark").parse(f"{code_block(text)}\n\nafter")
    assert [token.type for token in tokens] == ["fence", "paragraph_open", "inline", "paragraph_close"]


@given(st.lists(st.tuples(HOSTILE, HOSTILE), min_size=1, max_size=4))
def test_a_table_keeps_its_cells(rows: list[tuple[str, str]]) -> None:
    """Every cell is one code span, though pipes and backslashes are in it."""
    tokens = _inline(table(("name", "value"), rows))
    assert [token.type for token in tokens] == ["text", "text"] + ["code_inline"] * 2 * len(rows)


@pytest.mark.parametrize("text", ["accuracy", "val_loss", "top-5 error", "0.5", "99.5%", "f1.macro"])
def test_a_plain_word_stays_as_it_is(text: str) -> None:
    """Names of metrics need no marks around them."""
    assert plain(text) == text


@given(
    st.one_of(HOSTILE, st.sampled_from(["www.evil.example", "a www.b.c", "a@b.example", "http://e", "__x__", "- a"]))
)
def test_a_plain_text_is_only_text_to_a_renderer_that_finds_links(text: str) -> None:
    """Nothing becomes a link, an emphasis or a block."""
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(plain(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {part.type for part in tokens[1].children or []} <= {"text", "code_inline"}
    assert "www." not in plain(text) or plain(text).startswith("`")


@pytest.mark.parametrize("text", ["a\u202eb", "a\x1b[31mb", "a\nb"])
def test_what_cannot_be_seen_is_spelled(text: str) -> None:
    """Marks of writing direction, terminal sequences and line ends show as their escapes."""
    assert code(text).isprintable()
    assert "\\" in code(text)
