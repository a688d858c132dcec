"""How the command line reads what is typed, and what it prints of others' text."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.cli.output import printable
from launch_jobs.cli.params import assignment, command_line, duration, plain_value
from launch_jobs.cli.present import ago_text, duration_text, pairs_text, size_text


@given(st.text(min_size=1).filter(lambda name: "=" not in name), st.text())
def test_an_assignment_is_split_at_the_first_sign(name: str, value: str) -> None:
    """The value is everything after the first `=`, more signs included."""
    assert assignment(f"{name}={value}") == (name, value)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5", 1.5), (".5s", 0.5), ("10m", 600), ("2h", 7200), ("1d", 86400)]
)
def test_a_duration_is_read_in_seconds(text: str, seconds: float) -> None:
    """Units are s, m, h and d; none means seconds."""
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "1w", "m", "1 m", "nan", "inf", "1e3", "9" * 400, "\u0661"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Nothing, nought, signs, other units and other alphabets are no duration."""
    with pytest.raises(click.BadParameter, match="no duration"):
        duration(text)


def test_an_entrypoint_is_split_as_a_shell_does() -> None:
    """Quotes hold words together, and nothing is expanded."""
    assert command_line("python -c 'print(1)' $HOME") == ("python", "-c", "print(1)", "$HOME")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("0.5", 0.5),
        ("true", True),
        ("null", None),
        ('{"A": "1"}', {"A": "1"}),
        ('"7"', "7"),
        ("2Gi", "2Gi"),
        ("none", "none"),
        ("", ""),
        ("NaN", "NaN"),
        ("1e999", "1e999"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_a_job_variable_is_json_or_text(text: str, value: object) -> None:
    """What reads as JSON is JSON, anything else the text as it was typed."""
    found = plain_value(text)
    assert (found, type(found)) == (value, type(value))


@given(st.text())
def test_printed_text_cannot_steer_a_terminal(text: str) -> None:
    """Whatever a run is called, what is printed is printable, in one line."""
    assert printable(text).isprintable()


def test_plain_text_is_printed_as_it_is() -> None:
    """Letters of any alphabet stay."""
    assert printable("Trainingsläufe 試行 №1") == "Trainingsläufe 試行 №1"


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, None), (0.84, "0.8 s"), (59.4, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_duration_is_told(seconds: float | None, text: str | None) -> None:
    """Short runs in tenths of a second, long ones in minutes and hours."""
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("moment", "text"),
    [("11:59:50", "just now"), ("11:10:00", "50 min ago"), ("09:30:00", "2 h ago"), ("12:00:30", "just now")],
)
def test_a_moment_is_told_by_its_age(moment: str, text: str) -> None:
    """Ages are rounded down; a moment in the future (another clock) is just now."""
    assert ago_text(f"2026-01-02T{moment}+00:00", datetime(2026, 1, 2, 12, tzinfo=UTC)) == text


@pytest.mark.parametrize(("size", "text"), [(0, "0 B"), (999, "999 B"), (123_456, "123.5 kB"), (2e12, "2.0 TB")])
def test_a_size_is_told(size: float, text: str) -> None:
    """Bytes are told in decimal units."""
    assert size_text(size) == text


def test_parameters_are_told_briefly() -> None:
    """Numbers are cut to five digits, text is not quoted, null is empty."""
    assert pairs_text({"lr": 0.123456789, "name": "a b", "n": 3, "on": True, "x": None}) == (
        "lr=0.12346 name=a b n=3 on=true x="
    )
