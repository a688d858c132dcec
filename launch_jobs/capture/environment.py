"""Which distributions a job needs: what was imported, what its source can import, what it declares; closed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from launch_jobs.capture.origin import describe, local_path, without_credentials
from launch_jobs.capture.probed import Installed, Probe
from launch_jobs.errors import CaptureError
from launch_jobs.job import Distribution, Environment

__all__ = ["Carry", "Evidence", "Mode", "environment_of", "freeze", "without_credentials"]

Mode = Literal["imported", "project", "full"]

_TOOLS = {"pip", "setuptools", "wheel"}
"""Part of nearly every environment, needed by few: only what requires or declares them counts."""

_TOOL_MODULES = {"pip", "setuptools", "wheel", "_distutils_hack"}
_EXTRA = re.compile(r"""extra\s*==\s*["']([^"']+)["']""")
_DEVELOPERS = re.compile(
    r"(?:all|full|complete|ci|build|install|examples?|benchmarks?|maint|dev|docs?|lint|tests?|testing|typing)",
    re.IGNORECASE,
)

_SITE = {"site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What tells which distributions are needed.

    Attributes:
        root: the source root, absolute.
        local: top-level modules that the source tree itself gives the program.
        imported: modules that the run used, and their files as far as known.
        scanned: dotted names that the project's source can import.
        declared: requirements that the project declares.
    """

    root: Path
    local: Collection[str]
    imported: Mapping[str, str | None]
    scanned: Collection[str] = ()
    declared: Collection[Requirement] = ()


Carry = Callable[[Installed], Distribution | None]
"""Carries a distribution that only this machine has; None: it need not."""


def environment_of(
    probe: Probe, evidence: Evidence, mode: Mode = "project", *, carry: Carry | None = None
) -> Environment:
    """The environment that a job needs, of the one that its interpreter has.

    Args:
        probe: what the interpreter is, and has.
        evidence: what tells which distributions are needed.
        mode: how much of the evidence counts.
        carry: takes needed distributions that only this machine has; None: they are refused.

    Raises:
        CaptureError: a needed distribution was installed from a folder or file outside the source tree.
    """
    found = _Installation(probe, evidence)
    roots = set(found.imported())
    if mode == "full":
        roots |= found.by_name.keys() - _TOOLS
    elif mode == "project":
        roots |= set(found.scanned())
    extras: dict[str, set[str]] = {name: set() for name in roots}
    if mode != "imported":
        _add_required(extras, found, evidence.declared)
    if mode == "project":
        for name in set(found.scanned()):
            _add_required(extras, found, _optional(found.by_name[name], found.markers))
    distributions: list[Distribution] = []
    for name in sorted(_closed(found, extras)):
        one = found.by_name[name]
        described = (carry and carry(one)) or _checked(describe(one, evidence.root), evidence.root)
        distributions.append(described.model_copy(update={"extras": tuple(sorted(extras[name]))}))
    return Environment(
        python=probe.python,
        implementation=probe.implementation,
        platform=probe.platform,
        distributions=tuple(distributions),
    )


def freeze(probe: Probe, root: Path) -> tuple[Distribution, ...]:
    """Everything installed, sorted by name."""
    there = _first_of_each(probe.distributions)
    return tuple(describe(there[name], root) for name in sorted(there))


class _Installation:
    """Answers whose a module is, over what the probe saw."""

    def __init__(self, probe: Probe, evidence: Evidence) -> None:
        self.markers = probe.markers
        self.evidence = evidence
        self.by_name = {
            name: one for name, one in _first_of_each(probe.distributions).items() if not _is_source(one, evidence)
        }
        self.owners: dict[str, list[str]] = {}
        for name, one in self.by_name.items():
            for module in one.modules:
                self.owners.setdefault(module, []).append(name)
        self.projects = {name: folder for name, one in self.by_name.items() if (folder := local_path(one))}
        # Editable installs behind an import hook do not say which modules they bring: only their folder tells.
        self.opaque = [
            name for name in self.projects if all(module.startswith("_") for module in self.by_name[name].modules)
        ]

    def imported(self) -> Iterator[str]:
        """Distributions of the modules that the run used."""
        for module, file in self.evidence.imported.items():
            if module.partition(".")[0] in _TOOL_MODULES:
                continue
            owners = self._owners(module)
            if file is None:
                yield from () if self._is_local(module) else owners
                continue
            # A module of that name somewhere else is another one: a file of the source tree goes before.
            yield from (name for name in owners if self._holds(name, file))
            if module != "__main__":
                yield from (name for name in self.opaque if Path(file).is_relative_to(self.projects[name]))

    def scanned(self) -> Iterator[str]:
        """Distributions that the source's import statements mean."""
        for module in self.evidence.scanned:
            if module.partition(".")[0] in _TOOL_MODULES:
                continue
            local = self._is_local(module)
            yield from (name for name in self._owners(module) if not local or name in self.projects)

    def _holds(self, name: str, file: str) -> bool:
        folders = (self.by_name[name].location, self.projects.get(name, self.by_name[name].location))
        return any(Path(file).is_relative_to(folder) for folder in folders)

    def _owners(self, module: str) -> list[str]:
        parts = module.split(".")
        names = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
        known = next((name for name in names if name in self.owners), None)
        return self.owners[known] if known else []

    def _is_local(self, module: str) -> bool:
        return module.partition(".")[0] in self.evidence.local


def _first_of_each(distributions: Iterable[Installed]) -> dict[str, Installed]:
    """By normalised name; the first on the path counts, but an `egg-info` in a work folder hides no real install."""
    found: dict[str, Installed] = {}
    for one in distributions:
        name = canonicalize_name(one.name)
        if one.version and (name not in found or (one.direct_url and not found[name].direct_url)):
            found[name] = one
    return found


def _is_source(one: Installed, evidence: Evidence) -> bool:
    """Whether it is just files of the source tree (a vendored folder, a built egg-info), not an installation."""
    location = Path(one.location)
    return one.direct_url is None and location.is_relative_to(evidence.root) and not _in_site(one.location)


def _in_site(path: str) -> bool:
    return not _SITE.isdisjoint(PurePosixPath(path).parts)


def _add_required(extras: dict[str, set[str]], found: _Installation, requirements: Iterable[Requirement]) -> list[str]:
    """Add what requirements name and the interpreter has; the names that are new, or have new extras."""
    changed: list[str] = []
    for requirement in requirements:
        name = canonicalize_name(requirement.name)
        if name in found.by_name and (name not in extras or not requirement.extras <= extras[name]):
            extras.setdefault(name, set()).update(requirement.extras)
            changed.append(name)
    return changed


def _closed(found: _Installation, extras: dict[str, set[str]]) -> Iterable[str]:
    waiting = list(extras)
    while waiting:
        name = waiting.pop()
        wanted = _requirements(found.by_name[name], found.markers, extras[name])
        waiting += _add_required(extras, found, wanted)
    return extras


def _optional(one: Installed, markers: Mapping[str, str]) -> Iterator[Requirement]:
    """What it can use where that is installed (pandas' pyarrow), which no import statement of the source names."""
    named = {extra for line in one.requires for extra in _EXTRA.findall(line)}
    yield from _requirements(one, markers, {extra for extra in named if not _DEVELOPERS.match(extra)})


def _requirements(one: Installed, markers: Mapping[str, str], extras: Collection[str]) -> Iterator[Requirement]:
    for line in one.requires:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue  # metadata older than the standard; no resolver could follow it either
        marker = requirement.marker
        if marker is None or any(marker.evaluate({**markers, "extra": extra}) for extra in ("", *extras)):
            yield requirement


def _checked(one: Distribution, root: Path) -> Distribution:
    if one.origin == "url" and one.url and one.url.startswith("file:"):
        raise CaptureError(
            f"{one.name} {one.version} was installed from {one.url}, outside the source tree {root}",
            do="Install it from an index or a repository, or move it into the source tree",
        )
    return one
