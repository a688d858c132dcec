"""Two machines: one where a program is captured, and one that has only the server, an agent and the shared store."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from fidelity_case import Case
from fidelity_place import BIN, PreparationError, environment_for, install, repository_for, users_environment
from fidelity_verdict import Done

LIMIT_S = 900
FINAL = {"completed", "failed", "crashed", "cancelled"}
Document = dict[str, Any]  # our own JSON, as a user's script reads it


class ProductError(Exception):
    """A `launch` command refused or failed: a difference in itself."""


@dataclass
class Stage:
    """Both machines.

    Attributes:
        folder: of all that is written.
        queue: where jobs run.
        environments: images that were there before, and stay.
        jobs: digests of what was captured.
    """

    folder: Path
    queue: str
    jobs: list[str] = field(default_factory=list[str])
    environments: set[str] = field(default_factory=set[str])

    @property
    def store(self) -> str:
        """URL of the job store."""
        return (self.folder / "store").as_uri()

    def capture(self, case: Case) -> Done:
        """Run the program on the user's machine under `launch run`.

        Raises:
            ProductError: it could not be captured.
        """
        own = self.folder / "desk" / case.name
        home = own / "home"
        home.mkdir(parents=True)
        venv, root = environment_for(case, own), repository_for(case, own)
        install(case, venv, root)
        directory = root / case.directory
        environment = {**users_environment(venv, home, self.store), **case.environment, "PWD": str(directory)}
        done = _run(["run", "--name", case.job, "--", *case.command], environment, directory)
        if "not captured" in done.stderr or done.returncode == 125:
            raise ProductError(f"launch run: {done.stderr.strip().splitlines()[-1][:400]}")
        shown = _document(_run(["job", "show", case.job, "--json"], environment, directory))
        self.jobs.append(cast("str", shown["digest"]))
        paths = cast("list[str]", shown["records"][-1]["outputs"])
        return Done("captured", done.returncode, done.stdout, done.stderr, _digests(root, paths, case.directory))

    def submit(self, case: Case, *, second: bool = False) -> str:
        """Put the job on the queue, from the other machine; the run's id.

        Raises:
            ProductError: it was refused.
        """
        words = ["submit", case.job, "-q", self.queue, "--json"]
        if second:
            words += [
                word for name, value in case.second.parameters.items() for word in ("-p", f"{name}={_text(value)}")
            ]
            words += [word for value in case.second.args for word in ("--arg", value)]
        return cast("str", self._launch(*words)["id"])

    def ends(self, runs: Iterable[str]) -> None:
        """Wait until all these runs are over.

        Raises:
            ProductError: they are not after a quarter of an hour.
        """
        wanted, deadline = set(runs), time.monotonic() + LIMIT_S
        while wanted:
            listed = cast("list[Document]", self._launch("list", "--limit", "200", "--json"))
            wanted -= {one["id"] for one in listed if one["state"] in FINAL}
            if time.monotonic() > deadline:
                raise ProductError(f"{len(wanted)} runs are not over after {LIMIT_S} s: {sorted(wanted)}")
            if wanted:
                time.sleep(2)

    def done(self, run: str) -> Done:
        """How a run ended."""
        told = self._launch("logs", run, "--json")
        files = {file["path"]: file["digest"] for file in told["outputs"]}
        return Done(told["state"], told["exit_code"], told["log"], "", files, told["reason"] or "")

    def fetched(self, run: str) -> dict[str, str]:
        """The run's outputs, as they come out of the store: path → digest."""
        into = self.folder / "fetched" / run
        self._launch("outputs", run, str(into), "--json")
        found = [path.relative_to(into).as_posix() for path in into.rglob("*") if path.is_file()]
        return _digests(into, found, "")

    def _launch(self, *words: str) -> Any:
        host = self.folder / "host"
        return _document(_run(list(words), self._environment(), host))

    def _environment(self) -> dict[str, str]:
        host = self.folder / "host"
        mine = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        return {
            **mine,
            "HOME": str(host),
            "LAUNCH_JOBS_HOME": str(host / "launch"),
            "LAUNCH_JOBS_STORE": self.store,
            "LAUNCH_JOBS_PORT": "0",
            "LAUNCH_JOBS_MAX_JOBS": "2",
        }

    def up(self) -> None:
        """Start the other machine's server and agent."""
        (self.folder / "host").mkdir()
        self._launch("up", "--json")
        queues = {one["name"] for one in self._launch("queue", "list", "--json")}
        if self.queue not in queues:
            raise PreparationError(f"`launch up` made no {self.queue} queue here: see `launch doctor`")
        if self.queue == "docker":
            self.environments = _environments()

    def down(self) -> None:
        """End all that runs, and remove what was made."""
        _run(["down", "--cancel"], self._environment(), self.folder / "host")
        if self.queue == "docker":
            _remove_images(self.jobs, self.environments)


@contextmanager
def stage(queue: str) -> Generator[Stage]:
    """Two machines in a temporary folder; nothing of them is left."""
    folder = Path(tempfile.mkdtemp(prefix="lj-fidelity-"))
    made = Stage(folder, queue)
    try:
        made.up()
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


def _run(words: list[str], environment: Mapping[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / "launch"), *words],
        cwd=directory,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=LIMIT_S,
        check=False,
    )


def _document(done: subprocess.CompletedProcess[str]) -> Any:
    document = json.loads(done.stdout or "null")
    if done.returncode or document is None:
        error = document["error"]["what"] if document else done.stderr.strip()
        raise ProductError(f"{shlex.join(done.args[1:4])}: {error[:400]}")
    return document


def _digests(root: Path, paths: Iterable[str], directory: str) -> dict[str, str]:
    prefix = f"{directory}/" if directory else ""
    return {
        path.removeprefix(prefix): f"sha256:{hashlib.sha256((root / path).read_bytes()).hexdigest()}" for path in paths
    }


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _remove_images(jobs: Iterable[str], kept: set[str]) -> None:
    """The images of these jobs, and their environments that were not there before and no other image stands on."""
    images = [
        image
        for job in jobs
        for image in _docker("images", "-q", "--filter", f"label=org.launch-jobs.job-digest={job}")
    ]
    inherited = '{{index .Config.Labels "org.launch-jobs.environment-digest"}}'
    digests = set(_docker("inspect", "--format", inherited, *images)) if images else set[str]()
    for image in images:
        _docker("rmi", "-f", image)
    for digest in digests:
        for image in _environments(digest) - kept:
            _docker("rmi", image)


def _environments(digest: str = "") -> set[str]:
    label = f"label=org.launch-jobs.environment-digest{digest and '='}{digest}"
    return set(_docker("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", label, "launch-jobs/env"))


def _docker(*words: str) -> list[str]:
    done = subprocess.run(["docker", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout.split()
