"""The bar of a capture, on a real terminal: there while a capture lasts, gone while the program has the terminal."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

_SHOWS = """
import sys, threading, time
from launch_jobs.cli import capture_bar

def end(name):
    while threading.active_count() > 1:  # rich ends its own without waiting for it; were it not to end, nor would this
        time.sleep(0.001)
    print(name, file=sys.stderr, flush=True)

capture_bar._LATE_S = float(sys.argv[1])
with capture_bar.capture_bar(2) as say:
    say("Looking")
    say("")
    end("program")
    say("Reading")
    say("Proving")
    if float(sys.argv[1]) == 0:
        sys.stdin.read(1)
end("after")
"""


def _said(late: str) -> str:
    """What a terminal is sent, up to the end; the program waits for a key while the bar must be there."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", _SHOWS, late]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while True:
            try:
                more = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            said += more
            if b"Proving" in said and process.stdin and not process.stdin.closed:
                process.stdin.close()
    os.close(ours)
    assert process.returncode == 0
    return said.decode()


def test_a_capture_that_lasts_shows_its_step() -> None:
    """And no thread stays, neither beside the program nor in the end."""
    said = _said("0")
    assert "Proving" in said
    assert "program" in said
    assert said.endswith("after\r\n")


def test_a_short_capture_shows_nothing() -> None:
    """Nothing flickers."""
    assert _said("60").split() == ["program", "after"]


def test_without_a_terminal_there_is_no_bar(tmp_path: Path) -> None:
    """A log of a pipe stays readable."""
    done = subprocess.run(
        [sys.executable, "-c", _SHOWS, "60"], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stderr.split() == ["program", "after"]
