"""One attempt of a process queue as a folder: made once, told by its supervisor, judged with the kernel's help."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NotRequired, cast

from launch_jobs.errors import Refused, Unavailable
from launch_jobs.locks import is_locked
from launch_jobs.run import Stopped
from launch_jobs.targets import AttemptStatus
from launch_jobs.targets.devices import Held
from launch_jobs.targets.supervisor import Order, Report, start_ticks

_LINE = 16 * 1024
_READ = 256 * 1024
_READ_ONLY_FILE, _READ_ONLY_FOLDER = 0o444, 0o555


class Contents(Order):
    """What `spec.json` holds: the supervisor's order, and whose it is."""

    labels: dict[str, str]
    output_dir: str
    devices: NotRequired[list[str]]


def create(
    folder: Path, contents: Contents, datasets: Mapping[str, str], root: Path, *, private: Mapping[str, bytes]
) -> AttemptStatus:
    """Make the folder, complete, under its deterministic name; whoever comes second adopts it.

    Args:
        folder: the attempt's.
        contents: of `spec.json`.
        datasets: as in `RunSpec`; they are put inside the folder, or into the checkout of the source.
        root: that checkout.
        private: path in the folder → content of a file that only this user may read.

    Raises:
        Refused: the folder belongs to another run or attempt.
        Unavailable: it cannot be written.
    """
    try:
        if not folder.exists():
            _publish(folder, json.dumps(contents), datasets, root, private)
        if _contents(folder)["labels"] != contents["labels"]:
            raise Refused(f"{folder} belongs to another run or attempt", do="Remove it if you know that it is done")
        Path(contents["output_dir"]).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot write {folder}: {error.strerror or error}", do="Mend LAUNCH_JOBS_HOME") from error
    return status(folder) or AttemptStatus("created")


def _publish(folder: Path, text: str, datasets: Mapping[str, str], root: Path, private: Mapping[str, bytes]) -> None:
    """Renaming onto a folder that is not empty fails: of several agents one wins, and no half folder is ever seen."""
    new = folder.parent / f".{folder.name}.{uuid.uuid4().hex}"
    new.mkdir(parents=True, mode=0o700)
    try:
        for path, source in datasets.items():
            if Path(path).is_relative_to(folder):
                _put_read_only(Path(source), new / Path(path).relative_to(folder))
            else:
                _make_parents(Path(path), root)
                _put_beside(Path(source), Path(path))
        for name, content in private.items():
            _put_private(new / name, content)
        replace(new / "spec.json", text)
        new.rename(folder)
    except OSError:
        shutil.rmtree(new, onerror=_make_removable)
        if not (folder / "spec.json").exists():
            raise


def _put_private(file: Path, content: bytes) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
        opened.write(content)


def _put_read_only(source: Path, into: Path) -> None:
    """A folder's content under another name, as hard links: nothing is copied, and the source's name may go."""
    shutil.copytree(source, into, copy_function=os.link, symlinks=True)
    for path in into.rglob("*"):
        if not path.is_symlink():
            path.chmod(_READ_ONLY_FOLDER if path.is_dir() else _READ_ONLY_FILE | path.stat().st_mode & 0o111)
    into.chmod(_READ_ONLY_FOLDER)


def _put_beside(source: Path, into: Path) -> None:
    """A file or folder into the checkout of the source, over what is there, its files read-only; again is no change."""
    if source.is_dir() and not source.is_symlink():
        if into.is_symlink() or into.is_file():
            into.unlink()
        into.mkdir(exist_ok=True)
        for path in source.iterdir():
            _put_beside(path, into / path.name)
        return
    into.unlink(missing_ok=True)
    if source.is_symlink():
        into.symlink_to(source.readlink())
        return
    into.hardlink_to(source)
    into.chmod(_READ_ONLY_FILE | source.stat().st_mode & 0o111)


def _make_parents(path: Path, root: Path) -> None:
    """Folders in a checkout; a link among them that leads out of it, or nowhere, is a folder then."""
    for parent in reversed(path.relative_to(root).parents[:-1]):
        inside = root / parent
        if inside.is_symlink() and not (inside.is_dir() and inside.resolve().is_relative_to(root.resolve())):
            inside.unlink()
        inside.mkdir(exist_ok=True)


def status(folder: Path) -> AttemptStatus | None:
    """What the folder says, and, where its supervisor is gone without a word, what the kernel says."""
    if not folder.exists():
        return None
    report = _report(folder)
    if report.get("state") != "exited" and not (folder / "started").exists():
        return AttemptStatus("created")
    if report.get("state") != "exited" and not _is_supervised(folder):
        report = _report(folder)  # it may have ended since
        if report.get("state") != "exited" and not _survivors(folder):
            lost = "its supervisor was killed, or the host restarted"
            return AttemptStatus("exited", started=report.get("started"), error=lost)
    if report.get("state") != "exited":
        return AttemptStatus("running", started=report.get("started"))
    return AttemptStatus(
        "exited",
        exit_code=report.get("exit_code"),
        started=report.get("started"),
        ended=report.get("ended"),
        error=report.get("error", ""),
        peak_memory_bytes=report.get("peak"),
    )


def held_devices(runs: Path) -> dict[str, Held]:
    """Run id → what it holds, of all attempts in a folder of attempts that are not over."""
    found: dict[str, Held] = {}
    for file in runs.glob("[!.]*/spec.json"):
        with suppress(FileNotFoundError):  # it is removed just now
            contents, now = _contents(file.parent), status(file.parent)
            if now and now.state != "exited":
                found[contents["labels"]["org.launch-jobs.run"]] = Held(tuple(contents.get("devices", ())))
    return found


def start_of(folder: Path) -> float:
    """When the program was about to start, in seconds since 1970; infinity: it never was."""
    try:
        return (folder / "started").stat().st_mtime
    except FileNotFoundError:
        return math.inf


def ask_to_stop(folder: Path, grace_s: float) -> None:
    """Tell the supervisor to end the program; it looks ten times a second."""
    replace(folder / "stop", str(max(0.0, grace_s)))


def stopped(folder: Path) -> Stopped:
    """Proof that nothing of the attempt runs any more; the supervisor, if it lived, wrote down what it sent."""
    report = _report(folder)
    gone = datetime.now(UTC).isoformat()
    return Stopped(signalled=report.get("signalled"), killed=report.get("killed"), gone=gone)


def is_running(folder: Path) -> bool:
    """Whether something of the attempt lives; what has no supervisor any more is killed."""
    now = status(folder)
    if not now or now.state != "running":
        return False
    if not _is_supervised(folder):
        for pid in _survivors(folder):
            _kill(pid)
    return True


def read_log(folder: Path, offset: int, *, over: bool) -> bytes:
    """The next whole lines from byte `offset` on; an unfinished one only if it is long, or nothing follows (`over`)."""
    try:
        with (folder / "log").open("rb") as file:
            file.seek(offset)
            data = file.read(_READ)
    except FileNotFoundError:
        return b""
    whole = data.rfind(b"\n") + 1
    return data[:whole] if whole else data if over or len(data) >= _LINE else b""


def remove(folder: Path) -> None:
    """Remove the folder; it is moved away first, so that nobody ever sees half of it."""
    gone = folder.parent / f".gone.{uuid.uuid4().hex}"
    try:
        folder.rename(gone)
    except FileNotFoundError:
        return
    shutil.rmtree(gone, onerror=_make_removable)


def replace(file: Path, text: str) -> None:
    """Write a file atomically."""
    new = file.with_name(f"{file.name}.{uuid.uuid4().hex}")
    new.write_text(text)
    new.replace(file)


def _report(folder: Path) -> Report:
    try:
        return cast("Report", json.loads((folder / "status.json").read_text()))
    except FileNotFoundError:
        return {}


def _contents(folder: Path) -> Contents:
    return cast("Contents", json.loads((folder / "spec.json").read_text()))


def _is_supervised(folder: Path) -> bool:
    """Whether a supervisor lives: it holds the lock as long."""
    return is_locked(folder / "lock")


def _survivors(folder: Path) -> list[int]:
    """Processes of an attempt whose supervisor is dead: its program, and all with its output folder in their env."""
    try:
        mark = b"LAUNCH_OUTPUT_DIR=" + os.fsencode(_contents(folder)["output_dir"])
    except FileNotFoundError:
        return []
    report = _report(folder)
    found = {report["pid"]} if "pid" in report and start_ticks(report["pid"]) == report.get("ticks") else set[int]()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.add(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return sorted(found)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _make_removable(remove: Callable[..., object], path: str, _error: object) -> None:
    """A program may have taken its own folders' write permission away."""
    Path(path).parent.chmod(0o700)
    Path(path).chmod(0o700)
    remove(path)
