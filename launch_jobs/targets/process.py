"""Runs attempts as processes of this host, each under a supervisor that outlives the agent. It isolates nothing."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import uuid
from collections.abc import AsyncIterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath

from launch_jobs import crashpoints
from launch_jobs.errors import BadInput, Unavailable
from launch_jobs.run import Place, Stopped
from launch_jobs.targets import AttemptStatus, LogChunk, RunSpec, attempt_folder, supervisor
from launch_jobs.targets.devices import Held
from launch_jobs.targets.outputs import OutputFolder, keep_tree
from launch_jobs.targets.secret_files import SECRETS

_INHERITED = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LANG", "LANGUAGE", "TZ"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
        *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "NVIDIA_VISIBLE_DEVICES"),
    }
)
_START_S = 60.0
_KILL_S = 30.0
_QUICK_S, _SLOW_S = 0.05, 0.3


class ProcessTarget:
    """The target of `launch-process` queues.

    Args:
        home: folder of our state on this host; attempts live in its `runs`.
    """

    def __init__(self, home: Path) -> None:
        self._runs = home.absolute() / "runs"
        self._home = home.absolute()
        self._host = ""

    def folder(self, name: str) -> Path:
        """Where the attempt of this name lives; its outputs are in `outputs` there."""
        return self._runs / name

    async def place(self, name: str) -> Place:
        """Where an attempt of this name would live on this host."""
        if not self._host:
            self._host = await asyncio.to_thread(host_id, self._home)
        return Place(kind="process", host=self._host, name=str(self.folder(name)))

    async def ensure(self, spec: RunSpec) -> AttemptStatus:
        """Create the attempt if its name is free, else adopt it; start it only if nobody ever did.

        Raises:
            Refused: the folder belongs to another run or attempt.
            Unavailable: the folder cannot be written, or the supervisor does not start.
        """
        folder = self.folder(spec.name)
        root = Path(spec.root or folder)
        private = {f"{SECRETS}/{one.name}": one.value.get_secret_value() for one in spec.secrets}
        make = partial(attempt_folder.create, private=private)
        status = await asyncio.to_thread(make, folder, _contents(spec), spec.datasets, root)
        if status.state == "created":
            crashpoints.reach("start.before")
            await _start_supervisor(folder)
            status = await asyncio.to_thread(attempt_folder.status, folder) or status
        if status.state == "created":
            raise Unavailable(f"the supervisor of {folder} did not start", do=f"See {folder / 'supervisor.log'}")
        return status

    async def status(self, place: Place) -> AttemptStatus | None:
        """What is there now; None if nothing is."""
        return await asyncio.to_thread(attempt_folder.status, await self._folder_of(place))

    async def logs(self, place: Place, since: str | None) -> AsyncIterator[LogChunk]:
        """Output from byte `since` until the attempt ends."""
        folder = await self._folder_of(place)
        offset, pause = int(since or 0), _QUICK_S
        while True:
            status = await asyncio.to_thread(attempt_folder.status, folder)
            over = status is None or status.state == "exited"
            data = await asyncio.to_thread(attempt_folder.read_log, folder, offset, over=over)
            if data:
                offset, pause = offset + len(data), _QUICK_S
                yield LogChunk(data, str(offset))
            elif over:
                return
            else:
                await asyncio.sleep(pause)
                pause = min(_SLOW_S, pause * 1.5)

    async def stop(self, place: Place, grace_s: float) -> Stopped | None:
        """End the attempt's whole process tree: SIGTERM to the program's group, SIGKILL to all after the grace.

        Raises:
            Unavailable: something of it cannot be killed.
        """
        folder = await self._folder_of(place)
        status = await asyncio.to_thread(attempt_folder.status, folder)
        if not status or status.state != "running":
            return None
        await asyncio.to_thread(attempt_folder.ask_to_stop, folder, grace_s)
        try:
            async with asyncio.timeout(grace_s + _KILL_S):
                while await asyncio.to_thread(attempt_folder.is_running, folder):  # noqa: ASYNC110 # another process
                    await asyncio.sleep(_QUICK_S)
        except TimeoutError as error:
            raise Unavailable(f"the processes of {folder} do not end", do="Look for processes in state D") from error
        return await asyncio.to_thread(attempt_folder.stopped, folder)

    async def collect(self, place: Place, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Copy an exited attempt's outputs into a folder; return the paths left out (links, over the limit)."""
        folder = await self._folder_of(place)
        return await asyncio.to_thread(_collect, spec, into, folder)

    async def held_devices(self) -> dict[str, Held]:
        """Run id → what its process holds, of all in this home that are not over."""
        return await asyncio.to_thread(attempt_folder.held_devices, self._runs)

    async def remove(self, place: Place) -> None:
        """End what still runs and remove the attempt's folder. Nothing there is no error."""
        folder = await self._folder_of(place)
        await self.stop(place, 0)
        await asyncio.to_thread(attempt_folder.remove, folder)

    async def _folder_of(self, place: Place) -> Path:
        """The folder of a place on this host; an attempt elsewhere must never look absent."""
        folder = Path(place.name)
        if place != await self.place(folder.name):
            raise Unavailable(f"{place} is on another host or in another home than {self._home}")
        return folder


def host_id(home: Path) -> str:
    """Names this host and this home: the machine id keeps copies of a home apart, the home's id copies of a machine.

    Raises:
        Unavailable: the home cannot be written.
    """
    file = home / "host-id"
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not file.exists():
            new = home / f".host-id.{uuid.uuid4().hex}"
            new.write_text(uuid.uuid4().hex)
            try:
                file.hardlink_to(new)
            except FileExistsError:
                pass
            finally:
                new.unlink()
        own = file.read_text()
    except OSError as error:
        raise Unavailable(f"cannot write {file}: {error.strerror}", do="Mend LAUNCH_JOBS_HOME") from error
    machine = Path("/etc/machine-id")
    seed = own + (machine.read_text().strip() if machine.exists() else "")
    return hashlib.sha256(seed.encode()).hexdigest()[:32]


def process_env(spec: RunSpec, agent: Mapping[str, str]) -> dict[str, str]:
    """A program's whole environment: the spec's, over a short allow-list of the agent's, and the venv's `bin` first."""
    inherited = {name: value for name, value in agent.items() if name in _INHERITED or name.startswith("LC_")}
    env = {**inherited, **spec.env}
    if spec.image:
        env["VIRTUAL_ENV"] = spec.image
        env["PATH"] = f"{spec.image}/bin:{env.get('PATH', os.defpath)}"
    return env


def _contents(spec: RunSpec) -> attempt_folder.Contents:
    if not spec.command:
        raise BadInput("a process queue needs a command", do="Give the job an entrypoint")
    return {
        "argv": list(spec.command),
        "env": process_env(spec, os.environ),
        "directory": spec.directory or spec.source or "",
        "labels": spec.labels,
        "output_dir": spec.output_dir,
        "devices": list(spec.devices),
        "secrets": {one.variable: f"{SECRETS}/{one.name}" for one in spec.secrets if one.variable},
        "files": [
            {"path": str(Path(spec.root or "/") / file.path), "before": file.before, "after": file.after}
            for file in spec.files
        ],
    }


async def _start_supervisor(folder: Path) -> None:
    """Start a supervisor and wait until it has detached; of several only one starts the program."""
    # Nothing of the agent's environment: the supervisor's own can be read by the program.
    env = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    with (folder / "supervisor.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", supervisor.__file__, str(folder)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            cwd="/",
            start_new_session=True,
        )
    try:
        await asyncio.wait_for(process.wait(), _START_S)
    except TimeoutError as error:
        raise Unavailable(f"the supervisor of {folder} does not answer", do="Is the host overloaded?") from error


def _collect(spec: RunSpec, into: Path, folder: Path) -> tuple[str, ...]:
    outputs = OutputFolder(into, spec.output_limit_bytes)
    keep_tree(outputs, Path(spec.output_dir), PurePosixPath())
    root = Path(spec.root or spec.source or spec.output_dir)
    if spec.collect is None:
        keep_tree(outputs, root, PurePosixPath(), attempt_folder.start_of(folder))
    for path in spec.collect or ():
        if any(parent.is_symlink() for parent in _parents_below(root, root / path)):
            outputs.leave_out(PurePosixPath(path))
        else:
            keep_tree(outputs, root / path, PurePosixPath(path))
    return outputs.left_out


def _parents_below(root: Path, path: Path) -> list[Path]:
    return [parent for parent in path.parents if parent.is_relative_to(root) and parent != root]
