"""What runs leave: outcomes, outputs and logs, by run and attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from launch_jobs.errors import BadInput
from launch_jobs.run import Outcome, OutputFile
from launch_jobs.store import Objects, keys
from launch_jobs.store.content import digest_file, fetch_file, put_file
from launch_jobs.store.documents import LogDocument
from launch_jobs.store.envelope import corrupt, seal, unseal
from launch_jobs.store.pointers import get_or_none, point


class Usage(NamedTuple):
    """How much a run left, and when the last of it was written."""

    size: int
    modified: datetime


class AttemptResults:
    """The results of a store. Written once, but for a log that may grow; see `JobStore`."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def put_outcome(self, outcome: Outcome) -> Outcome:
        """Write the end of an attempt once: the outcome that the store has, this one or an earlier writer's.

        Raises:
            BadInput: an output's path is not a plain relative one, or the outcome has no JSON form.
        """
        _check_outputs(outcome)
        key = keys.outcome(outcome.run, outcome.attempt)
        return (
            outcome
            if self._objects.put_if_absent(key, seal(key, outcome))
            else read_outcome(key, self._objects.get(key))
        )

    def outcome(self, run: str, attempt: int | None = None) -> Outcome | None:
        """The end of an attempt (None: of the latest that ended); None if there is none."""
        if attempt is None:
            attempt = max(keys.numbers_of(self._objects.keys(keys.outcomes(run))), default=0)
        document = get_or_none(self._objects, keys.outcome(run, attempt)) if attempt else None
        return None if document is None else read_outcome(keys.outcome(run, attempt), document)

    def put_output(self, run: str, attempt: int, file: OutputFile, path: Path) -> None:
        """Keep one output's content.

        Raises:
            StoreError: the file at `path` is not what `file` says.
        """
        keys.check_output_path(file.path)
        put_file(self._objects, keys.file(run, attempt, file.digest), path, file.digest)

    def get_output(self, run: str, attempt: int, file: OutputFile, into: Path) -> None:
        """Write one output to the file `into`, which appears only when its SHA-256 is right."""
        keys.check_output_path(file.path)
        fetch_file(self._objects, keys.file(run, attempt, file.digest), file.digest, into)

    def put_log(self, run: str, attempt: int, path: Path) -> None:
        """Keep an attempt's whole output; a later call replaces it."""
        digest = digest_file(path)
        put_file(self._objects, keys.file(run, attempt, digest), path, digest)
        point(self._objects, keys.log(run, attempt), LogDocument(digest=digest))

    def get_log(self, run: str, attempt: int, into: Path) -> bool:
        """Write an attempt's output to `into`; False if none was kept."""
        key = keys.log(run, attempt)
        pointer = get_or_none(self._objects, key)
        if pointer is None:
            return False
        digest = unseal(key, pointer, LogDocument).digest
        fetch_file(self._objects, keys.file(run, attempt, digest), digest, into)
        return True

    def runs(self) -> Iterator[tuple[str, int]]:
        """Runs and attempts that left anything, sorted; attempts that still run can be among them."""
        found: set[tuple[str, int]] = set()
        for prefix in ("outcomes/", "logs/", "files/"):
            found.update(filter(None, map(keys.attempt_of, self._objects.keys(prefix))))
        yield from sorted(found)

    def usage(self) -> dict[str, Usage]:
        """What each run left, by its id: for deciding what is pruned."""
        found: dict[str, Usage] = {}
        for prefix in ("outcomes/", "logs/", "files/"):
            for entry in self._objects.entries(prefix):
                if of := keys.attempt_of(entry.key):
                    size, modified = found.get(of[0], (0, entry.modified))
                    found[of[0]] = Usage(size + entry.size, max(modified, entry.modified))
        return found

    def delete_run(self, run: str) -> None:
        """Remove all that a run's attempts left: outcomes first, so that nothing ever points to what is gone.

        Deleting again ends what a killed deletion began; an unknown run is no error.
        """
        for prefix in (keys.outcomes(run), keys.logs(run), keys.files(run)):
            for key in list(self._objects.keys(prefix)):
                self._objects.delete(key)


def read_outcome(key: str, document: bytes) -> Outcome:
    """An outcome, checked."""
    outcome = unseal(key, document, Outcome)
    try:
        _check_outputs(outcome)
    except BadInput as error:
        raise corrupt(key, error.what) from error
    return outcome


def _check_outputs(outcome: Outcome) -> None:
    paths = [file.path for file in outcome.outputs.files]
    for path in paths:
        keys.check_output_path(path)
    if len(set(paths)) != len(paths):
        raise BadInput(f"outputs of run {outcome.run} name a path twice")
