"""Asks the job's interpreter what is installed, and finds what the job needs of it."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass

from launch_jobs.capture.entrypoint import Located
from launch_jobs.capture.environment import Evidence, Mode, environment_of, freeze
from launch_jobs.capture.imports import scan_imports
from launch_jobs.capture.interpreter import Probe, probe_interpreter
from launch_jobs.capture.project import declared_requirements, local_modules, project_folder, python_files
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Snapshot
from launch_jobs.job import Distribution, Environment
from launch_jobs.tracker import INJECT


@dataclass(frozen=True, slots=True)
class InstalledSoftware:
    """What a job needs, and everything that there was."""

    environment: Environment
    freeze: tuple[Distribution, ...] = ()


def installed_of(seen: Seen, located: Located, snapshot: Snapshot, mode: Mode) -> InstalledSoftware:
    """The environment of a job, from its interpreter as it is now.

    Raises:
        CaptureError: the interpreter does not answer, or has something needed that cannot be carried.
    """
    probe = _probe(seen, located)
    if probe is None:
        return InstalledSoftware(Environment(platform=_platform()))
    evidence = _evidence(seen, located, snapshot)
    return InstalledSoftware(environment_of(probe, evidence, mode), freeze(probe, snapshot.root))


def _probe(seen: Seen, located: Located) -> Probe | None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LAUNCH_TRACK_")}
    entries = environment.get("PYTHONPATH", "").split(os.pathsep)
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in entries if entry != str(INJECT))
    if seen.first and seen.first.executable:
        return probe_interpreter(seen.first.executable, (), environment, seen.first.path)
    if located.program.python is None:
        return None
    return probe_interpreter(located.program.python, located.program.flags, environment)


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
