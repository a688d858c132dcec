"""Secrets in an output: every form, cut anywhere, and after a restart in the middle of one."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launch_jobs.redaction import MASK, Redactor
from launch_jobs.spool import Spool
from launch_jobs.targets import LogChunk

VALUE = b'p?ss"w\xc3\xb6rd/+\\42'
KEY = b"-----BEGIN KEY-----\nMIIEowIBAAKCAQEA\nQ2FuYXJ5Q2FuYXJ5\n-----END KEY-----\n"


def _through(redactor: Redactor, *chunks: bytes) -> bytes:
    """What comes out of a stream that is cut in these chunks."""
    out, held = b"", b""
    for chunk in chunks:
        safe, held = redactor.feed(held + chunk)
        out += safe
    return out + redactor.end(held)


PRINTED = {
    "plain": VALUE,
    "base64": base64.b64encode(VALUE).rstrip(b"="),
    "base64 url": base64.urlsafe_b64encode(VALUE).rstrip(b"="),
    "hex": VALUE.hex().encode(),
    "url": quote(VALUE).encode(),
    "url, all": quote(VALUE, safe="").encode(),
    "json": json.dumps(VALUE.decode()).encode()[1:-1],
    "json, unicode": json.dumps(VALUE.decode(), ensure_ascii=False).encode()[1:-1],
    "repr": repr(VALUE.decode()).encode()[1:-1],
}


@pytest.mark.parametrize("form", PRINTED)
def test_each_form_is_hidden_wherever_it_is_cut(form: str) -> None:
    """The canary in nine encodings, cut at every byte, and a byte at a time: never seen, and the rest always is."""
    printed = PRINTED[form]
    text = b"before " + printed + b" after\n"
    whole = _through(Redactor([VALUE]), text)
    assert printed not in whole
    assert whole.startswith(b"before ")
    assert whole.endswith(b" after\n")
    for cut in range(len(text) + 1):
        assert _through(Redactor([VALUE]), text[:cut], text[cut:]) == whole
    assert _through(Redactor([VALUE]), *(bytes([byte]) for byte in text)) == whole


@pytest.mark.parametrize("before", [b"", b"u", b"us", b"user:"])
def test_base64_of_more_than_the_secret(before: bytes) -> None:
    """As in a Basic authorization header: wherever the value begins in it, its own letters are hidden."""
    printed = base64.b64encode(before + VALUE + b"@host")
    hidden = _through(Redactor([VALUE]), printed)
    assert MASK in hidden
    assert len(hidden.replace(MASK, b"")) < len(base64.b64encode(before)) + 12


def test_a_key_of_many_lines_is_hidden_line_by_line() -> None:
    """A program that indents it, or prints only a part."""
    for text in (KEY, KEY.replace(b"\n", b"\r\n"), b"".join(b"  " + line + b"\n" for line in KEY.splitlines())):
        assert b"MIIE" not in _through(Redactor([KEY]), text)
        assert b"Q2Fu" not in _through(Redactor([KEY]), text[:30], text[30:])


def test_of_a_value_that_begins_another_nothing_is_left() -> None:
    """The longer one is waited for, whatever the order and the cut."""
    redactor = Redactor([b"abcd", b"abcdefgh", b"abab"])
    assert _through(redactor, b"xabcd", b"efgh.") == b"x" + MASK + b"."
    assert _through(redactor, b"xabab", b".") == b"x" + MASK + b"."
    assert _through(redactor, b"abcdefg") == MASK + b"efg"


@settings(deadline=None, max_examples=200)
@given(st.lists(st.sampled_from([VALUE, VALUE[:7], VALUE[7:], b"p?", b"x", b"\n", b"\0", b""]), max_size=12))
def test_no_cut_changes_what_comes_out(chunks: list[bytes]) -> None:
    """Cut or whole: the same bytes, without the value, and without loss of anything else."""
    out = _through(Redactor([VALUE]), *chunks)
    assert out == _through(Redactor([VALUE]), b"".join(chunks))
    assert VALUE not in out
    assert out.replace(MASK, VALUE) == b"".join(chunks)


def test_what_nobody_knows_is_hidden_whole() -> None:
    """Lines stay lines."""
    assert _through(Redactor(None), b"a secret\nmaybe", b"\n") == MASK + b"\n" + MASK + b"\n"


def test_a_restart_in_the_middle_of_a_value(tmp_path: Path) -> None:
    """The next agent's spool goes on with the held bytes: nothing is lost, doubled or shown."""
    path, redactor = tmp_path / "log", Redactor([VALUE])
    first = Spool(path, hide=redactor)
    first.write(LogChunk(b"a " + VALUE[:9], "1"))
    first.release()
    second = Spool(path, hide=redactor)
    assert second.offset == "1"
    second.write(LogChunk(VALUE[9:] + b" z p?ss", "2"))
    second.close()
    assert path.read_bytes() == b"a " + MASK + b" z p?ss"
