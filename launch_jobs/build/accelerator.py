"""Packages that are built for one kind of accelerator: how they are known, and what is said of them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from packaging.version import InvalidVersion, Version

from launch_jobs.job import Distribution, Environment

_ACCELERATOR = re.compile(r"cu[0-9]+|rocm[0-9.]+|xpu")
_CUDA_ONLY = ("nvidia-", "cuda-", "cupy-cuda")
_SHOWN = 5


def is_accelerators(index: str | None) -> bool:
    """Whether an index holds one accelerator's builds, and beside them old copies of what they need (PyTorch's)."""
    last = (index or "").rstrip("/").rpartition("/")[2]
    return last == "cpu" or bool(_ACCELERATOR.fullmatch(last))


def accelerator_notes(environment: Environment) -> tuple[str, ...]:
    """What to know of an environment on a machine with another accelerator than the one it was captured on.

    Nothing is dropped or exchanged: a CUDA build loads its libraries when it is imported, with a GPU or without, and
    another build is another result.
    """
    gpu = [_shown(one) for one in environment.distributions if _is_gpus(one)]
    plain = [_shown(one) for one in environment.distributions if _variant(one) == "cpu"]
    notes: list[str] = []
    if gpu:
        notes.append(f"Built for a GPU, and kept as captured, for it is imported without one too: {_few(gpu)}.")
    if plain:
        notes.append(f"Built without GPU support, and kept as captured: {_few(plain)} will use no GPU.")
    return tuple(notes)


def _is_gpus(one: Distribution) -> bool:
    return bool(_ACCELERATOR.fullmatch(_variant(one))) or one.name.startswith(_CUDA_ONLY)


def _variant(one: Distribution) -> str:
    try:
        return Version(one.version).local or ""
    except InvalidVersion:
        return ""


def _shown(one: Distribution) -> str:
    return f"{one.name} {one.version}"


def _few(names: Iterable[str]) -> str:
    every = sorted(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more
