"""An environment captured on one platform, resolved again for another: exact pins where it has them, by uv.

Nothing of a package is run for this: only wheels are looked at. What has no wheel anywhere is kept as it was pinned,
and built in the image like on the capturing machine.
"""

from __future__ import annotations

import asyncio
import json
import platform as machine
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from packaging.utils import canonicalize_name
from packaging.version import Version
from pydantic import Field, ValidationError

from launch_jobs.build.accelerator import accelerator_notes, is_accelerators
from launch_jobs.build.command import run
from launch_jobs.build.requirements import check_url, lock, python_version
from launch_jobs.errors import BadInput, BuildError
from launch_jobs.job import Distribution, Environment, Frozen
from launch_jobs.names import digest_of

RESOLVER = 2
"""Raised whenever the same environment shall be resolved otherwise."""

_PLATFORMS = {
    "linux/amd64": "x86_64-unknown-linux-gnu",
    "linux/arm64": "aarch64-unknown-linux-gnu",
    "linux/riscv64": "riscv64-unknown-linux",
    "darwin/amd64": "x86_64-apple-darwin",
    "darwin/arm64": "aarch64-apple-darwin",
    "windows/amd64": "x86_64-pc-windows-msvc",
    "windows/arm64": "aarch64-pc-windows-msvc",
}
"""OCI's names of platforms in uv's words."""

_PROCESSORS = {"x86_64": "amd64", "aarch64": "arm64"}

_EXTRA = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LINE = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^]]*\])?==(\S+)")
_ROOTS = "launch-roots"
_VIA = re.compile(rf"# via (?:{_ROOTS} \([^)]*\), )?(?!{_ROOTS} )[A-Za-z0-9]")
"""What another package wants, not only our own file."""

_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Resolver:
    """How uv is asked.

    Attributes:
        uv: its command.
        environment: its variables.
        package_index: the only index; None: each package's own, and the default.
    """

    uv: Sequence[str]
    environment: Mapping[str, str]
    package_index: str | None


class Resolution(Frozen):
    """What an environment became."""

    environment: Environment = Field(description="For the other platform.")
    changes: tuple[str, ...] = Field(default=(), description="What is other than it was captured, a sentence each.")


def host_platform() -> str:
    """The platform that this process runs on, in OCI's words."""
    processor = machine.machine().lower()
    return f"{machine.system().lower()}/{_PROCESSORS.get(processor, processor)}"


def is_foreign(environment: Environment, platform: str) -> bool:
    """Whether an environment with Python packages was captured on another platform."""
    return environment.python is not None and environment.platform != platform and bool(environment.distributions)


async def resolve_for(environment: Environment, platform: str, resolver: Resolver) -> Resolution:
    """Resolve an environment again for a platform.

    Raises:
        BadInput: a package that the job carries was compiled for the platform that it was captured on, or its name is
            none.
        BuildError: uv knows no such platform, or finds nothing that fits together there.
    """
    target, captured = _PLATFORMS.get(platform), _PLATFORMS.get(environment.platform)
    if target is None:
        raise BuildError(
            f"the job was captured on {environment.platform}, and its packages cannot be found for {platform}",
            do=f"Use a queue on one of: {', '.join(_PLATFORMS)}",
        )
    _check_carried(environment, platform)
    _check_words(environment)
    with tempfile.TemporaryDirectory(prefix="launch-resolve-") as folder:
        work = _Work(environment, target, captured, resolver, Path(folder))
        found = await work.resolve()
    kept = [one for one in environment.distributions if one.origin != "index"]
    distributions = tuple(sorted([*kept, *found], key=lambda one: one.name))
    changed = environment.model_copy(update={"platform": platform, "distributions": distributions})
    return Resolution(environment=changed, changes=tuple(_changes(environment, changed)))


async def kept_resolution(environment: Environment, platform: str, resolver: Resolver, folder: Path) -> Resolution:
    """As `resolve_for`, once: the answer is kept in a folder, so that the same job gives the same image tomorrow.

    Raises:
        BadInput, BuildError: as `resolve_for`.
    """
    name = digest_of([RESOLVER, environment.model_dump(mode="json"), platform, resolver.package_index])
    file = folder / f"{name.removeprefix('sha256:')[:32]}.json"
    with suppress(OSError, ValidationError):
        return Resolution.model_validate_json(await asyncio.to_thread(file.read_bytes))
    found = await resolve_for(environment, platform, resolver)
    await asyncio.to_thread(_keep, file, found.model_dump_json(indent=1))
    return found


def _keep(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=file.parent, suffix=".new", delete=False) as new:
        new.write(text)
    Path(new.name).replace(file)


def _check_carried(environment: Environment, platform: str) -> None:
    compiled = [
        one.name for one in environment.distributions if one.origin == "wheel" and "-any.whl" not in f"{one.url}"
    ]
    if compiled:
        raise BadInput(
            f"{', '.join(compiled)} was compiled on {environment.platform}, and no index has it for {platform}",
            do=f"Use a queue on {environment.platform}, or install it from an index or a repository",
        )


def _check_words(environment: Environment) -> None:
    """Everything that goes into the resolver's files is a word: the job may be somebody else's, and this host ours."""
    lock(environment)
    odd = [extra for one in environment.distributions for extra in one.extras if not _EXTRA.fullmatch(extra)]
    if odd:
        raise BadInput(f"{odd[0][:60]!r} is no extra of a package", do="See PEP 685")


@dataclass(frozen=True, slots=True)
class _Work:
    environment: Environment
    target: str
    captured: str | None
    resolver: Resolver
    folder: Path
    said: list[str] = field(default_factory=list[str])

    async def resolve(self) -> list[Distribution]:
        """The packages of indexes on the target."""
        pins = {one.name: one for one in self.environment.distributions if one.origin == "index"}
        absent = set(await self._absent(list(pins.values()), self.target))
        # What has no wheel where it ran either was built from source there, and can be here.
        sources = set(await self._absent([pins[name] for name in absent], self.captured))
        absent -= sources
        required = await self._required([one for one in pins.values() if one.name not in sources])
        # uv binds what is asked for itself to an index, and nothing that another package wants.
        roots = [one for one in pins.values() if one.name not in required or is_accelerators(one.index)]
        roots = [one for one in roots if one.name not in sources]
        wanted = [_wish(one) for one in roots if one.name not in absent]
        wanted += [wish for one in roots if one.name in absent if (wish := await self._other(one))]
        constraints = [f"{one.name}=={one.version}" for one in pins.values() if one.name not in absent | sources]
        found = await self._compile(wanted, self.target, constraints=constraints)
        if found is None:
            # The captured versions do not fit together there: only those of what nothing else requires are kept.
            found = await self._compile(wanted, self.target)
        if found is None:
            raise BuildError(f"the job's packages cannot be resolved for {self.target}\n{self.said[-1]}")
        return [*(_merged(one, pins.get(one.name)) for one in found), *(pins[name] for name in sources)]

    async def _absent(self, pins: list[Distribution], platform: str | None) -> list[str]:
        """Names of those that have no wheel for a platform, found by halving."""
        wanted = [f"{one.name}=={one.version}" for one in pins]
        if not pins or platform is None or await self._compile(wanted, platform, dependencies=False) is not None:
            return []
        if len(pins) == 1:
            return [pins[0].name]
        half = len(pins) // 2
        return [*await self._absent(pins[:half], platform), *await self._absent(pins[half:], platform)]

    async def _required(self, pins: list[Distribution]) -> set[str]:
        """Names of those that others required where the job was captured: these may not be needed elsewhere."""
        if self.captured is None:
            return set()
        found = await self._compile([_wish(one) for one in pins], self.captured)
        blocks = _blocks((self.folder / "out.txt").read_text()) if found is not None else []
        return {canonicalize_name(match[1]) for block in blocks if (match := _LINE.match(block)) and _VIA.search(block)}

    async def _other(self, one: Distribution) -> str | None:
        """Another version, the nearest in meaning, of what has no wheel on the target; None: there is none."""
        extras = f"[{','.join(one.extras)}]" if one.extras else ""
        for wish in (f"{one.name}{extras}=={Version(one.version).public}", f"{one.name}{extras}"):
            if await self._compile([wish], self.target, dependencies=False) is not None:
                return wish
        return None

    async def _compile(
        self,
        wanted: Iterable[str],
        platform: str,
        *,
        constraints: Iterable[str] = (),
        dependencies: bool = True,
    ) -> list[Distribution] | None:
        """What uv finds; None: nothing that fits together."""
        given, limits, output = (self.folder / name for name in ("pyproject.toml", "constraints.txt", "out.txt"))
        given.write_text(self._project(list(wanted)))
        limits.write_text("".join(f"{line}\n" for line in constraints))
        output.unlink(missing_ok=True)
        # Our own interpreter: uv would start every Python of this machine to find a nearer one, and needs none.
        options = ["--python", sys.executable, "--python-platform", platform]
        options += ["--python-version", python_version(self.environment)]
        options += ["--only-binary", ":all:", "--no-header", "--annotation-style", "line", "--no-strip-extras"]
        options += ["--generate-hashes", "--emit-index-annotation", "--constraints", str(limits)]
        options += [] if dependencies else ["--no-deps"]
        command = [*self.resolver.uv, "pip", "compile", *options, *self._indexes(), "-o", str(output), str(given)]
        ended = await run(command, log=lambda _: None, env=self.resolver.environment)
        if ended.code:
            self.said.append(ended.tail)
            return None
        return list(_parsed(output.read_text()))

    def _project(self, wanted: list[str]) -> str:
        """What is asked for. An accelerator's index gives its own builds only, not the old copies beside them."""
        pins = {_wish(one): one for one in self.environment.distributions if is_accelerators(one.index)}
        pins |= {f"{one.name}=={one.version}": one for one in pins.values()}
        bound = [] if self.resolver.package_index else [pins[line] for line in wanted if line in pins]
        urls = sorted({check_url("package index", one.index) for one in bound if one.index})
        lines = [f'[project]\nname = "{_ROOTS}"\nversion = "0"\ndependencies = {json.dumps(wanted)}']
        for number, url in enumerate(urls):
            lines.append(f'[[tool.uv.index]]\nname = "index{number}"\nurl = {json.dumps(url)}\nexplicit = true')
        sources = [f'{one.name} = {{ index = "index{urls.index(one.index)}" }}' for one in bound if one.index]
        return "\n".join([*lines, "[tool.uv.sources]", *sources, ""])

    def _indexes(self) -> list[str]:
        """The other indexes, before the default one. A name that one of them has is looked for nowhere else.

        Or a stranger's package of the same name, on the public index, could stand in for a private one.
        """
        if self.resolver.package_index:
            return ["--default-index", check_url("package index", self.resolver.package_index)]
        urls = sorted({one.index for one in self.environment.distributions if one.index})
        named = [url for url in urls if not is_accelerators(url)]
        words = [word for url in named for word in ("--index", check_url("package index", url))]
        return [*words, "--index-strategy", "first-index"]


def _wish(one: Distribution) -> str:
    extras = f"[{','.join(one.extras)}]" if one.extras else ""
    return f"{one.name}{extras}=={one.version}"


def _blocks(text: str) -> list[str]:
    """A compiled file, a package each."""
    return re.split(r"\n(?=[A-Za-z0-9])", text)


def _parsed(text: str) -> Iterable[Distribution]:
    """What uv wrote: a package, its hashes, who wants it, and where it is from."""
    for block in _blocks(text):
        if match := _LINE.match(block):
            origin = re.search(r"# from (\S+)", block)
            yield Distribution(
                name=canonicalize_name(match[1]),
                version=match[2],
                hashes=tuple(_HASH.findall(block)),
                index=origin[1].rstrip("/") if origin and "pypi.org" not in origin[1] else None,
            )


def _merged(found: Distribution, pin: Distribution | None) -> Distribution:
    """A package of the target with what the capture knew of it; a lock's hashes hold where they are of its files."""
    if pin is None or pin.version != found.version:
        return found
    agreed = tuple(one for one in pin.hashes if one in found.hashes)
    return pin.model_copy(update={"hashes": agreed if pin.hashes and agreed else found.hashes if pin.hashes else ()})


def _changes(before: Environment, after: Environment) -> Iterable[str]:
    old, new = ({one.name: one.version for one in each.distributions} for each in (before, after))
    yield f"Captured on {before.platform}, resolved again for {after.platform}."
    for name in sorted(old.keys() - new.keys()):
        yield f"Dropped: {name} {old[name]} (not for {after.platform}, or needed only on {before.platform})."
    for name in sorted(name for name in old.keys() & new.keys() if old[name] != new[name]):
        yield f"Changed: {name} {old[name]} → {new[name]}."
    for name in sorted(new.keys() - old.keys()):
        yield f"Added: {name} {new[name]} (needed on {after.platform})."
    yield from accelerator_notes(after)
