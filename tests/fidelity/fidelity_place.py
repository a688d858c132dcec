"""The user's machine: an environment for a case, and its program in a fresh repository."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from fidelity_case import HERE, Case

BIN = Path(sys.executable).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "launch-jobs" / "fidelity"


class PreparationError(Exception):
    """A case could not be set up here: nothing is said about the product."""


def environment_for(case: Case, folder: Path, *, beside: tuple[str, ...] = ()) -> Path:
    """A virtual environment with the case's requirements and what is wanted beside them.

    It is shared by all cases that want the same, or below `folder` if the case installs more from its repository.
    """
    if case.install:
        return make(folder / "venv", case.requirements_file, *beside)
    content = case.requirements_file.read_bytes() + _python().encode() + "".join(beside).encode()
    made = CACHE / f"{case.requirements}-{hashlib.sha256(content).hexdigest()[:12]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with made.with_suffix(".lock").open("w") as lock:  # a venv cannot be moved, so two runs must not make it at once
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (made / "whole").exists():
            shutil.rmtree(made, ignore_errors=True)
            make(made, case.requirements_file, *beside)
            (made / "whole").touch()
    return made


def repository_for(case: Case, folder: Path) -> Path:
    """The program in a new git repository, with the changes that are not committed."""
    root = folder / case.name
    shutil.copytree(case.folder, root, symlinks=True, ignore=shutil.ignore_patterns("case.toml", "__pycache__"))
    if case.ignored:
        (root / ".gitignore").write_text("".join(f"{line}\n" for line in case.ignored))
    content = {path: (root / path).read_bytes() for path in (*case.modified, *case.untracked)}
    for path in case.modified:
        (root / path).write_text("raise SystemExit('the committed draft ran')\n")
    for path in case.untracked:
        (root / path).unlink()
    _call("git", "init", "-q", "-b", "main", cwd=root)
    _call("git", "add", "-A", cwd=root)
    author = ("-c", "user.name=Fidelity", "-c", "user.email=fidelity@example.org")
    _call("git", *author, "commit", "-q", "--allow-empty", "-m", case.about, cwd=root)
    for path, data in content.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def install(case: Case, venv: Path, root: Path) -> None:
    """What the user installs from the repository itself."""
    for arguments in case.install:
        _call(str(BIN / "uv"), "pip", "install", "-q", "--python", str(venv / "bin/python"), *arguments, cwd=root)


def make(venv: Path, requirements: Path | None, *beside: str) -> Path:
    """A new virtual environment with these requirements and further packages.

    Raises:
        PreparationError: it could not be made.
    """
    uv = str(BIN / "uv")
    _call(uv, "venv", "-q", "--python", _python(), str(venv), cwd=HERE)
    words = ["-r", str(requirements)] if requirements and requirements.read_text().strip() else []
    if words or beside:
        _call(uv, "pip", "install", "-q", "--python", str(venv / "bin/python"), *words, *beside, cwd=HERE)
    return venv


def users_environment(venv: Path, home: Path, store: str) -> dict[str, str]:
    """What is set in the shell of a user with an activated environment."""
    mine = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCH_", "PREFECT_", "PYTHON"))}
    path = f"{venv / 'bin'}:{BIN}:{os.environ['PATH']}"
    settings = {"LAUNCH_JOBS_HOME": str(home / "launch"), "LAUNCH_JOBS_STORE": store}
    return {**mine, **settings, "HOME": str(home), "PATH": path, "VIRTUAL_ENV": str(venv)}


@cache
def _python() -> str:
    """The base image's exact version if this machine has it: another patch version writes other zip headers."""
    words = [str(BIN / "uv"), "python", "find", "--no-python-downloads", "3.11.2"]
    found = subprocess.run(words, capture_output=True, text=True, check=False)
    return found.stdout.strip() or sys.executable


def _call(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise PreparationError(f"{' '.join(command[:4])}: {(done.stderr or done.stdout).strip()[-400:]}")
