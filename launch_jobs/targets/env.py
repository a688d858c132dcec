"""A program's environment variables: what a submitter may set, and what we set. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from launch_jobs.errors import BadInput, Refused

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OURS = ("LAUNCH_", "PREFECT_")
_PRELOADS = frozenset({"LD_PRELOAD", "LD_AUDIT"})
_DEVICES = ("NVIDIA_",)
_LONGEST = 128 * 1024 - 1
_LARGEST = 1536 * 1024


def check_env(env: Mapping[str, str], *, gpus: int = 0) -> None:
    """Check variables that a queue or a submitter set.

    Args:
        env: name to value.
        gpus: devices that the attempt is given; which ones, no variable may change.

    Raises:
        BadInput: a name is no identifier, or a value is no text that a program can get.
        Refused: a name is reserved.
    """
    for name, value in env.items():
        if not _NAME.fullmatch(name):
            raise BadInput(f"{name[:80]!r} cannot name an environment variable", do="Use A-Z a-z 0-9 _")
        _refuse_reserved(name, gpus)
        _check_text(f"environment variable {name[:80]}", value, len(name) + 1)


def check_exec(argv: Iterable[str], env: Mapping[str, str]) -> None:
    """Check that the kernel will take an argument vector and an environment (execve's limits).

    Raises:
        BadInput: an argument holds NUL or is too long, or all together are too large.
    """
    total = 0
    for position, argument in enumerate(argv):
        total += 9 + _check_text(f"argument {position}", argument, 0)
    for name, value in env.items():
        total += 9 + _check_text(f"environment variable {name[:80]}", value, len(name) + 1)
    if total > _LARGEST:
        raise BadInput(f"arguments and environment take {total} bytes", do=f"Stay under {_LARGEST}, or use a file")


def is_hostile(name: str) -> bool:
    """Whether a variable reaches beyond the program, or is a Prefect setting; ours are not."""
    return name in _PRELOADS or name.startswith((*_DEVICES, "PREFECT_"))


def _refuse_reserved(name: str, gpus: int) -> None:
    if name.startswith(_OURS):
        raise Refused(f"environment variable {name!r} is reserved", do="Use another name")
    if name in _PRELOADS:
        # Also read by hooks that run on the host while a GPU container is made (CVE-2025-23266).
        raise Refused(f"environment variable {name!r} is not allowed", do="Set it in the command: env NAME=… program")
    if name.startswith(_DEVICES) or (gpus and name == "CUDA_VISIBLE_DEVICES"):
        raise Refused(f"environment variable {name!r} would choose other devices", do="Set the job variable gpus")


def _check_text(what: str, text: str, extra: int) -> int:
    """The bytes of a text that can be an argument or a variable's value."""
    if "\0" in text:
        raise BadInput(f"{what} holds a NUL character")
    try:
        size = len(text.encode()) + extra
    except UnicodeEncodeError as error:
        raise BadInput(f"{what} is no valid Unicode text") from error
    if size > _LONGEST:
        raise BadInput(f"{what} takes {size} bytes", do=f"A program can get {_LONGEST}; use a file")
    return size
