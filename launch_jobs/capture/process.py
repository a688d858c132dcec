"""The door to child processes: the user's program, as if the shell had started it, and our own quiet ones."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from launch_jobs.errors import BadInput, CaptureError

_FORWARDED = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_SHARED = (signal.SIGINT, signal.SIGQUIT)


@dataclass(frozen=True, slots=True)
class Ended:
    """How a program ended.

    Attributes:
        pid: its process id.
        exit_code: as a shell would say it: 128+n for signal n.
        note: what is not known of its end, in plain words.
        before_s: seconds that it had run when we were told.
    """

    pid: int
    exit_code: int
    note: str = ""
    before_s: float = 0.0


def run_program(command: Sequence[str], directory: Path, environment: Mapping[str, str]) -> Ended:
    """Run the user's program with our own input, output and error, and wait for it.

    The terminal's signals (Ctrl-C) reach it by themselves; those sent to us alone are passed on.

    Raises:
        BadInput: the system cannot start it.
    """
    child: list[subprocess.Popen[bytes]] = []
    with _signals(lambda number: child[0].send_signal(number) if child else None):
        try:
            # Descriptors that the shell opened for the program (`3>file`) must reach it; ours are not inheritable.
            child.append(subprocess.Popen(list(command), cwd=directory, env=dict(environment), close_fds=False))
        except OSError as error:
            raise BadInput(
                f"{command[0]!r} cannot be started: {error.strerror}", do="Is it a program, for this machine?"
            ) from error
        except ValueError as error:  # a NUL character in a word, or in a variable
            raise BadInput(
                f"the command cannot be started: {error}", do="Linux gives no program such a word"
            ) from error
        code = child[0].wait()
    return Ended(child[0].pid, code if code >= 0 else 128 - code)


def run_quiet(command: Sequence[str], text: str, environment: Mapping[str, str]) -> None:
    """Run a short program of ours with some standard input, away from the terminal.

    Raises:
        CaptureError: it failed or hung; says what it wrote last.
    """
    try:
        done = subprocess.run(
            list(command), input=text.encode(), capture_output=True, env=dict(environment), timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise CaptureError(f"{command[0]!r} cannot be asked what is installed: {error}") from error
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise CaptureError(f"{command[0]!r} cannot be asked what is installed: {last[0]}")


def answer_of(command: Sequence[str]) -> str:
    """What a short program of the system prints, however it ends; empty where there is none, or it hangs."""
    try:
        done = subprocess.run(list(command), capture_output=True, stdin=subprocess.DEVNULL, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace")


@contextmanager
def _signals(forward: Callable[[int], None]) -> Generator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        forward(number)

    def leave(_number: int, _frame: FrameType | None) -> None:
        """The child has it too. (To ignore it would make the child ignore it: that is inherited.)"""

    wanted: dict[signal.Signals, Callable[[int, FrameType | None], None]] = {}
    wanted |= dict.fromkeys(_FORWARDED, pass_on) | dict.fromkeys(_SHARED, leave)
    before = {number: signal.getsignal(number) for number in wanted}
    changed = [number for number, old in before.items() if old is not signal.SIG_IGN and old is not None]
    try:
        for number in changed:
            signal.signal(number, wanted[number])
    except ValueError:
        changed = []  # not in the main thread: whoever has it has the signals
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, before[number])
