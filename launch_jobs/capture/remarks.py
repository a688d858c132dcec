"""What a launch elsewhere must be told of an environment: what is broken, doubled, or not an index's."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import cast

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from launch_jobs.capture.probed import Installed, Probe
from launch_jobs.job import Environment

_SHOWN = 20


def remarks(probe: Probe, environment: Environment) -> Iterator[str]:
    """One sentence for each kind of thing that may not come out the same elsewhere."""
    needed = {one.name for one in environment.distributions}
    mine = [one for one in probe.distributions if canonicalize_name(one.name) in needed]
    if probe.problems:
        yield f"Broken packages were left out: {few(probe.problems)}."
    if doubled := _doubled(mine):
        yield f"Installed more than once, the first on the path counts: {few(doubled)}."
    if system := sorted(f"{one.name} {one.version}" for one in mine if _is_systems(one)):
        yield f"Not reproducible from an index for sure, for the operating system brought them: {few(system)}."
    if odd := sorted(f"{one.name} {one.version}" for one in mine if not _is_version(one.version or "")):
        yield f"Not reproducible, for their versions are none that an index has: {few(odd)}."
    yield from _conda(probe, needed)


def few(names: Iterable[str]) -> str:
    """The first of some names, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else ""
    return ", ".join(every[:_SHOWN]) + more


def _doubled(installed: Iterable[Installed]) -> list[str]:
    found = Counter((canonicalize_name(one.name), one.version) for one in installed)
    names = Counter(name for name, _ in found)
    return sorted(
        f"{name} ({' and '.join(str(v) for n, v in found if n == name)})" for name in names if names[name] > 1
    )


def _is_systems(one: Installed) -> bool:
    """Whether a package manager of the system installed it: Debian's folder, rpm's mark."""
    return "dist-packages" in PurePosixPath(one.location).parts or one.installer in ("debian", "rpm")


def _is_version(version: str) -> bool:
    try:
        Version(version)
    except InvalidVersion:
        return False
    return True


def _conda(probe: Probe, needed: set[str]) -> Iterator[str]:
    """What conda or pixi installed beside Python packages: no package index has it."""
    known = {canonicalize_name(one.name) for one in probe.distributions} | {"python", "pip"}
    other: list[str] = []
    for file in sorted((Path(probe.prefix) / "conda-meta").glob("*.json")):
        try:
            one = cast("dict[str, object]", json.loads(file.read_bytes()))
            if canonicalize_name(str(one["name"])) not in known:
                other.append(f"{one['name']} {one['version']}")
        except (OSError, ValueError, KeyError, TypeError):
            continue
    if other:
        yield f"A conda environment, of which pip cannot install: {few(other)}."
    own = sorted(
        name
        for one in probe.distributions
        if one.installer == "conda" and (name := canonicalize_name(one.name)) in needed
    )
    if own:
        yield f"Installed by conda, taken from the package index in a launch: {few(own)}."
