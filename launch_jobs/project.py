"""The deployable Prefect project (`flows/`, `blocks/`, `prefect.yaml`): where it is, and laying it down elsewhere."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

from launch_jobs.errors import Refused

_PARTS = ("flows", "blocks", "prefect.yaml")
_STAMP = ".launch-jobs-version"


def project_source() -> Path:
    """The folder that holds the project: inside the installed package, or the root of a checkout."""
    package = Path(__file__).parent
    packaged = package / "_project"
    return packaged if packaged.is_dir() else package.parent


def _files(folder: Path) -> dict[str, bytes]:
    found = (path for part in _PARTS for path in [folder / part, *(folder / part).rglob("*")])
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in found
        if path.is_file() and "__pycache__" not in path.parts
    }


def lay_down(into: Path) -> list[str]:
    """Write the project into a folder; files that are there with the same content stay. Returns what was written.

    Raises:
        Refused: a file there differs and was not written by an earlier version of ours.
    """
    wanted, present = _files(project_source()), _files(into)
    stamp = into / _STAMP
    changed = sorted(name for name in wanted.keys() & present.keys() if wanted[name] != present[name])
    if changed and (not stamp.exists() or stamp.read_text() == version("launch-jobs")):
        raise Refused(f"{into / changed[0]} was changed by hand", do="Move it away, or name another folder")
    into.mkdir(parents=True, exist_ok=True)
    written = sorted(name for name in wanted if wanted[name] != present.get(name))
    for name in written:
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(wanted[name])
    stamp.write_text(version("launch-jobs"))
    return written


def use_project(home: Path) -> Path:
    """Choose the project an agent loads its flows from, and put it first on the module path.

    The working directory if it is such a project, else the home's, else the one that came with the package. Only
    operator-owned flows are ever loaded; nothing a run brings is imported.
    """
    candidates = [Path.cwd(), home / "project", project_source()]
    chosen = next(folder for folder in candidates if (folder / "flows" / "launch_job.py").is_file())
    if str(chosen) not in sys.path:
        sys.path.insert(0, str(chosen))
    return chosen
