"""The calls a container's life takes, each idempotent. They block: run them in a thread."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import cast

from pydantic import BaseModel, Field

from launch_jobs.engine import Engine, EngineConflict, EngineRefused, PathStat, errors, stat_path
from launch_jobs.errors import BadInput, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.targets import AttemptStatus, RunSpec
from launch_jobs.targets.container_events import event_lines
from launch_jobs.targets.container_memory import peak_in
from launch_jobs.targets.data_archive import UNTOUCHED, folder_member, members, streamed
from launch_jobs.targets.devices import Held, held_by
from launch_jobs.targets.grants import HostGrants, check_body, with_real_sources
from launch_jobs.targets.outputs import OutputFolder, keep_archive
from launch_jobs.targets.placing import placed_files
from launch_jobs.targets.render import LABEL_PREFIX, container_body
from launch_jobs.targets.secret_files import archive, only_file, user_number

_SHELL_CODES = frozenset({126, 127})
_READ_ONLY_FOLDER = 0o555
_OURS = PurePosixPath("/launch")
_OPEN = 0o777
_OPEN_FOLDER = 1 << 31 | 1 << 20 | 0o777
"""A folder (Go's first bit) in which anybody may write, and remove what is theirs (its sticky bit)."""


class ContainerState(BaseModel):
    """The part `State` of what the engine tells of a container."""

    status: str = Field(alias="Status")
    exit_code: int = Field(alias="ExitCode")
    out_of_memory: bool = Field(default=False, alias="OOMKilled")
    error: str = Field(default="", alias="Error")
    pid: int = Field(default=0, alias="Pid")
    started: str = Field(alias="StartedAt")
    finished: str = Field(alias="FinishedAt")


class _Config(BaseModel):
    labels: dict[str, str] | None = Field(alias="Labels")
    directory: str = Field(default="", alias="WorkingDir")
    user: str = Field(default="", alias="User")


class _Host(BaseModel):
    memory: int = Field(default=0, alias="Memory")


class Container(BaseModel):
    """What the engine tells of a container, as far as we ask."""

    id: str = Field(alias="Id")
    host: _Host = Field(default_factory=_Host, alias="HostConfig")
    state: ContainerState = Field(alias="State")
    config: _Config = Field(alias="Config")


class Containers:
    """The containers of one engine."""

    def __init__(self, engine: Engine, grants: HostGrants | None = None) -> None:
        self._engine = engine
        self._grants = grants or HostGrants()

    def create(self, spec: RunSpec) -> bool:
        """Create the container; whether it was us. When the engine's answer is lost, asking again tells.

        Raises:
            BadInput: the image does not exist, or the engine refuses the body.
            Refused: it wants what this host does not grant.
        """
        body = container_body(spec)
        if not self._is_granted(spec.name, body):
            return False
        for is_last in (False, True):
            try:
                with errors():
                    self._engine.create_container_from_config(body, spec.name)
            except EngineConflict:
                return False
            except NotFound as error:
                raise BadInput(f"the Docker Engine has no image {spec.image!r}", do="Build or pull it first") from error
            except Unavailable:
                if is_last:
                    raise
            else:
                return True
        return False

    def _is_granted(self, name: str, body: JsonObject) -> bool:
        """Whether this host grants a new container what it wants; one that was started is adopted as it is (no).

        Raises:
            Refused: it does not, and nothing was started; a container that was only created is gone.
        """
        try:
            check_body(with_real_sources(body), self._grants)
        except Refused:
            container = self.inspect(name)
            if container is not None and status_of(container.state).state != "created":
                return False
            self.remove(name)
            raise
        return True

    def start(self, spec: RunSpec) -> None:
        """Give the container its empty output folder, its datasets and config files, and start it.

        Whoever starts it has put everything in before: an agent that died in between leaves a container in state
        `created`, and the next one puts the same bytes in again.

        Raises:
            BadInput: the engine has no GPUs to give, or the image no config file where it was captured.
                Other failures of the start are in the container's status.
        """
        files = self._files(spec) if spec.files else b""
        files += self._secrets(spec) if spec.secrets else b""
        if spec.datasets or spec.mounts or files or not self._has_empty_outputs(spec):
            with errors():
                self._engine.put_archive(spec.name, "/", _archive(spec, files))
        container = self.inspect(spec.name)
        if container is None or status_of(container.state).state != "created":
            return  # another agent was faster; the engine would start an ended container again
        try:
            with errors():
                self._engine.start(spec.name)
        except EngineConflict:
            return
        except (Unavailable, EngineRefused) as error:
            if spec.gpus and "device driver" in str(error):
                self.remove(spec.name)
                raise BadInput(
                    f"this engine has no GPU to give: {error}", do="Set the job variable gpus to 0"
                ) from error
            container = self.inspect(spec.name)
            if container is None or status_of(container.state).state == "created":
                raise

    def _files(self, spec: RunSpec) -> bytes:
        """The run's own config files, as members of an archive; a container that cannot take them is removed."""
        container = self.inspect(spec.name)
        if container is None or status_of(container.state).state != "created":
            return b""  # another agent was faster
        try:
            return placed_files(self._engine, spec, spec.root or container.config.directory or "/")
        except BadInput:
            self.remove(spec.name)
            raise

    def _secrets(self, spec: RunSpec) -> bytes:
        """The run's secrets, as members of an archive: files that belong to the container's user."""
        container = self.inspect(spec.name)
        if container is None or status_of(container.state).state != "created":
            return b""  # another agent was faster
        user = container.config.user
        number = user_number(user, b"")
        if number is None:
            with suppress(NotFound), errors():
                stream, _ = self._engine.get_archive(spec.name, "/etc/passwd")
                number = user_number(user, only_file(b"".join(_stepwise(stream))))
        # Of a user that the container does not know, the engine itself will say so.
        return archive(spec.secrets, number or 0)

    def inspect(self, name: str) -> Container | None:
        """What the engine tells of a container; None if there is none.

        Raises:
            Refused: somebody else made it.
        """
        try:
            with errors():
                document = self._engine.inspect_container(name)
        except NotFound:
            return None
        container = Container.model_validate(document)
        if LABEL_PREFIX + "run" not in (container.config.labels or {}):
            raise Refused(f"the container {name} is none of ours", do="Rename or remove it")
        return container

    def held_devices(self) -> dict[str, Held]:
        """Run id → what its container holds, of all that are not over."""
        filters = {"label": [LABEL_PREFIX + "run"], "status": ["created", "running", "paused", "restarting"]}
        with errors():
            found = self._engine.containers(all=True, filters=filters)
        labels = [cast("dict[str, str]", one["Labels"]) for one in found]
        return {one[LABEL_PREFIX + "run"]: held_by(one) for one in labels}

    def peak_memory(self, name: str) -> int | None:
        """The most memory of a running container, as the engine knows it; None: it does not."""
        with errors():
            return peak_in(self._engine.stats(name, stream=False))

    def events(self, name: str, since: float, until: float) -> tuple[str, ...]:
        """What the engine remembers of a container, between two moments in seconds since 1970."""
        filters = {"container": [name], "type": ["container"]}
        with errors():
            return event_lines(self._engine.events(since, until, filters=filters, decode=True))

    def kill(self, name: str, signal: str) -> None:
        """Send a signal; nobody there is no error."""
        with suppress(NotFound, EngineConflict), errors():  # it ended meanwhile
            self._engine.kill(name, signal)

    def remove(self, name: str) -> None:
        """Kill and remove, anonymous volumes too; nothing there is no error."""
        with suppress(NotFound, EngineConflict), errors():  # it is gone, or going
            self._engine.remove_container(name, v=True, force=True)

    def collect(self, name: str, spec: RunSpec, into: Path) -> tuple[str, ...]:
        """Copy outputs into a folder; return the paths left out."""
        outputs = OutputFolder(into, spec.output_limit_bytes)
        if not self._has_empty_outputs(spec):
            self._collect_path(outputs, name, PurePosixPath(spec.output_dir), None)
        for path in spec.collect or ():
            self._collect_path(outputs, name, PurePosixPath(spec.root or "/") / path, PurePosixPath(path).parent)
        if spec.collect is None and spec.root and (since := self._start_of(name)):
            self._collect_path(outputs, name, PurePosixPath(spec.root), None, since=since)
        return outputs.left_out

    def _start_of(self, name: str) -> int:
        """When a container was started, in whole seconds, as the times in its archives; 0: never."""
        container = self.inspect(name)
        started = _time(container.state.started) if container else None
        return int(datetime.fromisoformat(started).timestamp()) if started else 0

    def _has_empty_outputs(self, spec: RunSpec) -> bool:
        """Whether the output folder is there, and nothing was ever made in it."""
        try:
            return looks_untouched(stat_path(self._engine, spec.name, spec.output_dir))
        except NotFound:
            return False

    def _collect_path(
        self, outputs: OutputFolder, name: str, path: PurePosixPath, keep: PurePosixPath | None, *, since: int = 0
    ) -> None:
        """Keep what is at a path under the folder `keep`, or, if that is None, only what is in it."""
        try:
            with errors():
                archive, _ = self._engine.get_archive(name, str(path))
        except NotFound:
            return
        chunks = _stepwise(archive)
        keep_archive(outputs, chunks, keep or PurePosixPath(), strip=1 if keep is None else 0, since=since)
        for _ in chunks:  # the rest of the stream, so that its connection can be used again
            pass


def looks_untouched(folder: PathStat) -> bool:
    """Whether this is an output folder, open to any user of the image, in which nothing was ever made. Pure.

    build/install.sh gives it its date in images that have one. Older engines (before 24) start a program for each
    archive, which costs 50 ms of CPU; a look costs 3.
    """
    return folder.mode == _OPEN_FOLDER and folder.modified.timestamp() == UNTOUCHED


def status_of(state: ContainerState) -> AttemptStatus:
    """What a container's state means for its attempt.

    A container whose start failed stays in `created` for the engine; for us it ended, by 127 (no such command) or 126
    (it cannot be executed) as a shell says it, or by nothing of the program's doing.
    """
    started = _time(state.started)
    if state.status in {"running", "paused", "restarting"}:
        return AttemptStatus("running", started=started)
    if not started:
        if state.status == "created" and not state.error:
            return AttemptStatus("created")
        code = state.exit_code if state.exit_code in _SHELL_CODES else None
        return AttemptStatus("exited", exit_code=code, error=state.error)
    ended = _time(state.finished)
    return AttemptStatus(
        "exited",
        exit_code=state.exit_code,
        out_of_memory=state.out_of_memory,
        started=started,
        # Two programs stamp these: of a short run the engine may tell an end before the start.
        ended=ended and max(started, ended),
        error=state.error,
    )


def _time(stamp: str) -> str | None:
    """A time of the engine's, in the form that all our times have; its zero time means never."""
    if not stamp or stamp.startswith("0001-"):
        return None
    return datetime.fromisoformat(stamp).astimezone(UTC).isoformat(timespec="microseconds")


def _archive(spec: RunSpec, files: bytes = b"") -> Iterator[bytes]:
    """A tar stream, never whole in memory: an output folder that any user of the image may write in, datasets that
    nobody may, and members made before."""
    yield from streamed(folder_member(spec.output_dir, 0o1777))
    root = PurePosixPath(spec.root) if spec.root else _OURS
    for path in sorted({*spec.datasets, *spec.mounts}):
        yield from _parents(PurePosixPath(path), root)
    for path, source in sorted(spec.datasets.items()):
        is_inside = root != _OURS and PurePosixPath(path).is_relative_to(root)
        for member in members(path, Path(source), _OPEN if is_inside else _READ_ONLY_FOLDER):
            yield from streamed(member)
    yield files
    yield bytes(tarfile.RECORDSIZE)


def _parents(path: PurePosixPath, root: PurePosixPath) -> Iterator[bytes]:
    """The folders above it in the source tree, where the program may write beside it, as where it was captured."""
    for parent in reversed(path.parents):
        if root in parent.parents and root != _OURS:
            yield from streamed(folder_member(str(parent), _OPEN))


def _stepwise(chunks: Iterator[bytes]) -> Iterator[bytes]:
    while True:
        with errors():
            chunk = next(chunks, None)
        if chunk is None:
            return
        yield chunk
