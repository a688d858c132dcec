"""Asks the job's interpreter what is installed, and finds what the job needs of it."""

from __future__ import annotations

import os
import platform
import tempfile
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from launch_jobs.capture.carried import Carrier, compiled_modules, is_editable
from launch_jobs.capture.entrypoint import Located
from launch_jobs.capture.environment import Carry, Evidence, Mode, environment_of, freeze
from launch_jobs.capture.imports import scan_imports
from launch_jobs.capture.indexes import read_indexes
from launch_jobs.capture.locks import compare, read_lock
from launch_jobs.capture.origin import local_path
from launch_jobs.capture.probed import Installed, Probe, probe_interpreter
from launch_jobs.capture.project import declared_requirements, local_modules, project_folder, python_files
from launch_jobs.capture.remarks import remarks
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Blobs, Snapshot
from launch_jobs.capture.unseen import unseen_python
from launch_jobs.job import Distribution, Environment
from launch_jobs.tracker import INJECT


@dataclass(frozen=True, slots=True)
class InstalledSoftware:
    """What a job needs, everything that there was, and what a launch elsewhere must be told of it."""

    environment: Environment
    freeze: tuple[Distribution, ...] = ()
    notes: tuple[str, ...] = ()


def installed_of(seen: Seen, located: Located, snapshot: Snapshot, mode: Mode, store: Blobs) -> InstalledSoftware:
    """The environment of a job, from its interpreter as it is now; what only this machine has is put in the store.

    Raises:
        CaptureError: the interpreter does not answer, or has something needed that cannot be carried.
    """
    guessed = None if seen.first or located.program.python else unseen_python(located, snapshot)
    probe = _probe(seen, located, guessed)
    if probe is None:
        return InstalledSoftware(Environment(platform=_platform()))
    evidence = _evidence(seen, located, snapshot)
    with tempfile.TemporaryDirectory(prefix="launch-wheels-") as folder:
        carry = _carrier(Carrier(probe.markers, Path(folder)), snapshot, store)
        environment = environment_of(probe, evidence, mode, carry=carry)
    environment, notes = _with_project(environment, probe, located, snapshot)
    if guessed:
        notes += (f"Its Python is taken to be that of PATH, {guessed}, and its packages what the source imports.",)
    return InstalledSoftware(environment, freeze(probe, snapshot.root), (*remarks(probe, environment), *notes))


def _carrier(carrier: Carrier, snapshot: Snapshot, store: Blobs) -> Carry:
    there = {entry.path for entry in snapshot.files}

    def carry(one: Installed) -> Distribution | None:
        source = local_path(one)
        if source is None or (is_editable(one) and _is_in_tree(source)):
            return None
        wheel = carrier.pack(one, source)
        name, version = canonicalize_name(one.name), one.version or ""
        return Distribution(name=name, version=version, origin="wheel", url=wheel.name, hashes=(store.put_blob(wheel),))

    def _is_in_tree(source: Path) -> bool:
        """Whether the tree has all of it: git ignores what was compiled."""
        if not source.is_relative_to(snapshot.root) or not source.is_dir():
            return source.is_relative_to(snapshot.root)
        below = source.relative_to(snapshot.root)
        return all((below / path).as_posix() in there for path in compiled_modules(source))

    return carry


def _with_project(
    environment: Environment, probe: Probe, located: Located, snapshot: Snapshot
) -> tuple[Environment, tuple[str, ...]]:
    """The environment with the indexes and hashes that the project's files tell, and what is to be said of them."""
    entries = {entry.path: entry for entry in snapshot.files if entry.mode != "link"}
    folder = project_folder(entries, located.folder)

    def read(path: str) -> bytes:
        return snapshot.content.read(entries[path])

    indexes = read_indexes(entries, read, folder, {"VIRTUAL_ENV": probe.prefix, **os.environ})
    installers = {str(canonicalize_name(one.name)): one.installer for one in probe.distributions}
    found = tuple(
        one.model_copy(update={"index": indexes.of(one.name, one.version, installers.get(one.name, ""))})
        if one.origin == "index"
        else one
        for one in environment.distributions
    )
    lock = read_lock(entries, read, folder)
    found, notes = compare(found, lock) if lock else (found, ())
    return environment.model_copy(update={"distributions": found}), (*indexes.notes(), *notes)


def _probe(seen: Seen, located: Located, guessed: str | None) -> Probe | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCH_TRACK_")}
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if entry != str(INJECT))
    if seen.first and seen.first.executable:
        return probe_interpreter(seen.first.executable, (), environment, seen.first.path)
    python = located.program.python or guessed
    return probe_interpreter(python, located.program.flags, environment) if python else None


def _evidence(seen: Seen, located: Located, snapshot: Snapshot) -> Evidence:
    entries = {entry.path: entry for entry in snapshot.files if entry.mode != "link"}
    folder = project_folder(entries, located.folder)

    def read(path: str) -> bytes:
        return snapshot.content.read(entries[path])

    scanned = {name for path in python_files(entries, folder) for name in scan_imports(read(path))}
    local = local_modules(entries, {".", "src", folder, f"{folder}/src", located.folder})
    return Evidence(
        root=snapshot.root,
        local=local,
        imported=seen.imported,
        scanned=scanned,
        declared=declared_requirements(entries, read, folder),
    )


def _platform() -> str:
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    return f"{platform.system().lower()}/{machine}"
