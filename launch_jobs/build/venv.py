"""Virtual environments on this host for process queues: made by uv, named by the digest of what is in them."""

from __future__ import annotations

import asyncio
import fcntl
import importlib.util
import os
import re
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from launch_jobs.build import Log
from launch_jobs.build.command import Ended, run
from launch_jobs.build.requirements import (
    INDEX_LINE,
    locks,
    minor_request,
    python_request,
    source_metadata,
    source_scripts,
)
from launch_jobs.build.resolution import Resolver, host_platform, is_foreign, kept_resolution
from launch_jobs.errors import BuildError
from launch_jobs.job import Environment, JsonValue
from launch_jobs.names import Digest, digest_of
from launch_jobs.settings import LaunchSettings

PLANNER = 1
COMPLETE = ".launch-jobs-complete"
"""A file in an environment that is whole; its time of change is that of the last use."""

_INTERPRETER = re.compile(r"((?:cpython|pypy|graalpy)-\S+)")
_POLL_S = 0.1
_FOREIGN = ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME", "CONDA_PREFIX")


def venv_digest(environment: Environment, package_index: str | None = None) -> Digest:
    """The digest of everything that decides a virtual environment's content on this host.

    Raises:
        BadInput: a version, name or URL in the environment is malformed.
    """
    site: JsonValue = {**source_metadata(environment), **source_scripts(environment)}
    files: JsonValue = {**locks(environment, package_index=package_index), **environment.wheels}
    # What is resolved again for this host is named by what it is resolved from: known without asking an index.
    platform = [environment.platform] if is_foreign(environment, host_platform()) else []
    return digest_of([PLANNER, python_request(environment), files, site, package_index, *platform])


FetchWheels = Callable[[Path], object]
"""Makes a folder with the wheels that a job carries."""


async def prepare_environment(
    environment: Environment, settings: LaunchSettings, log: Log, *, fetch: FetchWheels | None = None
) -> Path:
    """A folder with a virtual environment that holds exactly these packages; made if it is not there.

    Packages that live in the source tree are not installed: put `requirements.source_paths` on PYTHONPATH.
    Several processes may ask for the same one: one makes it. What a killed one left is made again.
    One that was captured on another platform is resolved again for this one, and the log says what changed.

    Raises:
        BadInput: the environment is not Python's, something in it is malformed, or runs on another platform only.
        BuildError: no fitting interpreter is on this host, or a package cannot be installed.
    """
    digest = venv_digest(environment, settings.package_index)
    folder = settings.home / "venvs" / digest.removeprefix("sha256:")[:32]
    if _use(folder):
        return folder
    await asyncio.to_thread(folder.parent.mkdir, parents=True, exist_ok=True)
    async with _locked(folder) as descriptor:
        if not _is_complete(folder):
            environment = await _for_this_host(environment, settings, log)
            await _make(folder, environment, _Uv(settings, log, descriptor), fetch)
    return folder


async def _for_this_host(environment: Environment, settings: LaunchSettings, log: Log) -> Environment:
    platform = host_platform()
    if not is_foreign(environment, platform):
        return environment
    resolver = Resolver(uv_command(), uv_environment(os.environ, settings), settings.package_index)
    found = await kept_resolution(environment, platform, resolver, settings.home / "resolutions")
    for change in found.changes:
        log(change)
    return found.environment


async def _make(folder: Path, environment: Environment, uv: _Uv, fetch: FetchWheels | None) -> None:
    """In place, for a virtual environment cannot be moved; the mark comes last."""
    await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
    try:
        await _interpreter(uv, folder, environment)
        wheels = folder / "wheels"
        if environment.wheels and fetch:
            await asyncio.to_thread(fetch, wheels)
        for name, text in locks(environment, package_index=uv.index, wheels=str(wheels)).items():
            await _install(uv, folder, folder / name, text)
        await asyncio.to_thread(shutil.rmtree, wheels, ignore_errors=True)
        _write_site(folder, environment)
        (folder / COMPLETE).touch()
    finally:
        if not _is_complete(folder):
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _install(uv: _Uv, folder: Path, requirements: Path, text: str) -> None:
    """Install what one index has; hashes are checked where there are any."""
    if not text:
        return
    await asyncio.to_thread(requirements.write_text, text)
    first = text.splitlines()[0]
    index = ("--default-index", first.removeprefix(INDEX_LINE)) if first.startswith(INDEX_LINE) else ()
    # Compiled once here, or each of the first runs, started together, compiles everything for itself.
    how = ("--no-deps", "--compile-bytecode", *index, "-r", str(requirements))
    ended = await uv("pip", "install", "--python", str(folder / "bin" / "python"), *how)
    if ended.code:
        raise BuildError(f"the packages of environment {folder.name} could not be installed\n{ended.tail}")


async def _interpreter(uv: _Uv, folder: Path, environment: Environment) -> None:
    """The exact version, else the same minor."""
    version, minor = python_request(environment), minor_request(environment)
    make = ("venv", "--no-python-downloads", str(folder), "--python")
    if (await uv(*make, version, into=[])).code == 0:
        return
    uv.log(f"Python {version} is not on this host; looking for another {minor}")
    if (await uv(*make, minor, into=[])).code == 0:
        return
    found: list[str] = []
    await uv("python", "list", "--only-installed", "--no-python-downloads", into=found)
    names = sorted({match[1] for line in found if (match := _INTERPRETER.match(line))})
    raise BuildError(
        f"no Python {minor} on this host; found: {', '.join(names) or 'none'}",
        do=f"Install it (uv python install {minor}), or use a docker queue",
    )


@asynccontextmanager
async def _locked(folder: Path) -> AsyncGenerator[int]:
    """Hold the folder's lock; yields its descriptor. uv holds it too: if we are killed, it is free when uv is gone."""
    descriptor = await asyncio.to_thread(os.open, f"{folder}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            await asyncio.sleep(_POLL_S)
        yield descriptor
    finally:
        os.close(descriptor)


def _write_site(folder: Path, environment: Environment) -> None:
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for path, text in source_metadata(environment).items():
        (site / path).parent.mkdir(exist_ok=True)
        (site / path).write_text(text)
    for name, text in source_scripts(environment).items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)


def _use(folder: Path) -> bool:
    """Whether it is complete; then it is young again, and `launch prune` leaves it."""
    with suppress(FileNotFoundError):
        if _is_complete(folder):
            os.utime(folder / COMPLETE)
            return True
    return False


def _is_complete(folder: Path) -> bool:
    """Whether it was finished, and its interpreter is still on this host."""
    return (folder / COMPLETE).exists() and (folder / "bin" / "python").exists()


class _Uv:
    def __init__(self, settings: LaunchSettings, log: Log, descriptor: int) -> None:
        self.index = settings.package_index
        self.log, self._argv, self._env, self._keep = (
            log,
            uv_command(),
            uv_environment(os.environ, settings),
            descriptor,
        )

    async def __call__(self, *arguments: str, into: list[str] | None = None) -> Ended:
        log = self.log if into is None else into.append
        return await run([*self._argv, *arguments], log=log, env=self._env, keep=(self._keep,))


def uv_command() -> list[str]:
    """Our own uv, pinned by our lock, else the one on PATH."""
    if importlib.util.find_spec("uv"):
        return [sys.executable, "-m", "uv"]
    found = shutil.which("uv")
    if not found:
        raise BuildError("uv is not on this host", do="Install it: https://docs.astral.sh/uv")
    return [found]


def uv_environment(ours: Mapping[str, str], settings: LaunchSettings) -> dict[str, str]:
    """Variables for uv: ours, without what would choose another interpreter, and with the settings' index and trust."""
    env = {name: value for name, value in ours.items() if name not in _FOREIGN}
    env.setdefault("UV_SYSTEM_CERTS", "1")
    env["UV_NO_PROGRESS"] = "1"
    if settings.package_index:
        env["UV_DEFAULT_INDEX"] = settings.package_index
    if settings.ca_bundle:
        env["SSL_CERT_FILE"] = str(settings.ca_bundle)
    return env
