"""`scripts/fidelity --peers`: what other capture tools keep of the same programs, judged by the same verdict.

Each tool sees the program on the user's machine, as `launch run` does; then that folder is gone, and what the tool kept
is brought to life as its own documentation says: a clean clone, its patch, its requirements in a new environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from fidelity_case import Case
from fidelity_place import PreparationError, environment_for, install, make, repository_for, users_environment
from fidelity_verdict import Done, differences
from peer_tools import PEERS, Kept, Peer, call
from pydantic import BaseModel, ConfigDict, Field

STORED = Path(__file__).parent / "peers.json"


class PeerScore(BaseModel):
    """How one tool did on one program."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    agrees: bool
    differences: tuple[str, ...] = ()
    note: str = Field(default="", description="What was left out or refused on the way.")


Scores = dict[str, dict[str, PeerScore]]


class Stored(BaseModel):
    """All that was measured: program → tool → score."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str
    programs: Scores


def compare(case: Case, peers: Mapping[str, Peer], folder: Path) -> dict[str, PeerScore]:
    """Run a program here, then what each tool kept of it; nothing of `folder` may be there yet."""
    venv, root = _desk(case, folder / "desk", wanted=())
    here = _run(case, venv, root)
    scores = {name: _score(case, peer, folder / name, here) for name, peer in peers.items()}
    shutil.rmtree(folder)
    return scores


def _score(case: Case, peer: Peer, folder: Path, here: Done) -> PeerScore:
    try:
        venv, root = _desk(case, folder / "desk", wanted=peer.beside)
        remote = _publish(root, folder)
        environment = {**users_environment(venv, folder / "desk" / "home", ""), **case.environment}
        kept = peer.capture(root / case.directory, case.command, environment)
        shutil.rmtree(folder / "desk")
        clone, said = _clone(remote, kept, folder / "elsewhere" / case.name)
        replica, left = _environment(kept, peer)
        there = _run(case, replica, clone)
    except PreparationError as error:
        return PeerScore(agrees=False, differences=(str(error),))
    found = differences(here, there, case.ignore, case.ignore_files)
    return PeerScore(agrees=not found, differences=tuple(found), note="; ".join(filter(None, (said, left))))


def _desk(case: Case, folder: Path, *, wanted: tuple[str, ...]) -> tuple[Path, Path]:
    (folder / "home").mkdir(parents=True)
    venv, root = environment_for(case, folder, beside=wanted), repository_for(case, folder)
    install(case, venv, root)
    return venv, root


def _publish(root: Path, folder: Path) -> Path:
    """A remote that has the commit: all of them want one, ours does not."""
    remote = folder / "remote.git"
    call("git", "clone", "-q", "--bare", str(root), str(remote), cwd=folder)
    call("git", "remote", "add", "origin", str(remote), cwd=root)
    call("git", "fetch", "-q", "origin", cwd=root)
    call("git", "branch", "-q", "--set-upstream-to=origin/main", "main", cwd=root)
    return remote


def _clone(remote: Path, kept: Kept, into: Path) -> tuple[Path, str]:
    call("git", "clone", "-q", str(remote), str(into), cwd=remote.parent)
    if not kept.patch.strip():
        return into, ""
    patch = remote.parent / "kept.patch"
    patch.write_bytes(kept.patch)
    done = subprocess.run(["git", "apply", str(patch)], cwd=into, capture_output=True, text=True, check=False)
    return into, f"the patch does not apply: {done.stderr.strip()[:120]}" if done.returncode else ""


def _environment(kept: Kept, peer: Peer) -> tuple[Path, str]:
    """A new environment with what the tool wants; the same wish is made once. What could not be had is told."""
    wish = hashlib.sha256(f"{peer.restore}\n{kept.requirements}".encode()).hexdigest()[:16]
    folder = _replicas() / wish
    told = folder / "left-out"
    if not told.exists():
        venv = make(folder / "venv", None)
        told.write_text(peer.restore(venv, kept.requirements))
    return folder / "venv", told.read_text()


def _replicas() -> Path:
    return Path(tempfile.gettempdir()) / f"lj-peers-{os.getpid()}"


def _run(case: Case, venv: Path, root: Path) -> Done:
    """The program as its user runs it, watched by nobody; its new and changed files are its outputs."""
    directory = root / case.directory
    home = root.parent / "home"
    home.mkdir(exist_ok=True)
    environment = {**users_environment(venv, home, ""), **case.environment, "PWD": str(directory)}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    before = _files(root)
    found = shutil.which(case.command[0], path=environment["PATH"]) or case.command[0]
    try:
        done = subprocess.run(
            [found, *case.command[1:]],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=300,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return Done("failed", None, "", reason=str(error))
    files = {path: digest for path, digest in _files(root).items() if before.get(path) != digest}
    return Done("ended", done.returncode, done.stdout, done.stderr, files)


def _files(root: Path) -> dict[str, str]:
    """Path → digest of the files of a tree that a run may have written."""
    skipped = {".git", ".venv", "__pycache__"}
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and not path.is_symlink() and not skipped & set(path.relative_to(root).parts)
    }


def measure(cases: list[Case], when: str) -> None:
    """Every tool on every program; a line each as soon as it is known, and kept at once."""
    base = Path(tempfile.mkdtemp(prefix="lj-peers-desk-"))
    try:
        for case in cases:
            found = compare(case, PEERS, base / case.name)
            _store(case.name, found, when)
            for name, score in found.items():
                told = "; ".join((*score.differences, score.note)) if not score.agrees else ""
                print(f"{'ok  ' if score.agrees else 'FAIL'} {case.name:20} {name:8} {told[:300]}", flush=True)
    finally:
        shutil.rmtree(base, ignore_errors=True)
        shutil.rmtree(_replicas(), ignore_errors=True)


def stored() -> Stored | None:
    """What was measured last, if anything was."""
    return Stored.model_validate_json(STORED.read_text()) if STORED.exists() else None


def _store(program: str, found: dict[str, PeerScore], when: str) -> None:
    """Programs that are not measured now stay as they were."""
    old = stored()
    content = Stored(when=when, programs={**(old.programs if old else {}), program: found})
    kept = content.model_dump(mode="json", exclude_defaults=True)
    STORED.write_text(json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False) + "\n")


def summary(programs: Collection[str] = ()) -> list[str]:
    """A line a tool: its version, and on how many of the programs it agreed when it was measured last."""
    content, lines = stored(), list[str]()
    if content is None:
        return lines
    for name, peer in PEERS.items():
        all_scores = {key: scores[name] for key, scores in content.programs.items() if name in scores}
        scores = [score for key, score in all_scores.items() if not programs or key in programs]
        if scores:
            agreed = sum(score.agrees for score in scores)
            lines.append(f"{peer.title:28} {agreed} of {len(scores)} (measured {content.when})")
    return lines
