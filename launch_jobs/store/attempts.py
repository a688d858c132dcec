"""What runs leave: outcomes, outputs and logs, by run and attempt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Literal, NamedTuple

from launch_jobs.errors import BadInput, NotFound, StoreError
from launch_jobs.run import Outcome, OutputFile
from launch_jobs.store import Entry, Objects, keys
from launch_jobs.store.content import digest_file, fetch_file, pack, put_file, unpack
from launch_jobs.store.documents import LogDocument
from launch_jobs.store.envelope import corrupt, seal, unseal
from launch_jobs.store.pointers import get_or_none, point


class Content(NamedTuple):
    """One part of what an attempt left: how large it is, and when the last of it was written."""

    run: str
    attempt: int
    part: Literal["log", "outputs", "outcome"]
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
        try:
            fetch_file(self._objects, keys.file(run, attempt, file.digest), file.digest, into)
        except StoreError:
            if get_or_none(self._objects, keys.dropped(run, attempt)) is None:
                raise
            raise NotFound(f"the outputs of run {run} were pruned", do="Run it again to have them") from None

    def put_log(self, run: str, attempt: int, path: Path) -> None:
        """Keep an attempt's whole output, compressed; a later call replaces it."""
        packed = path.with_name(f"{path.name}.gz")
        try:
            pack(path, packed)
            digest = digest_file(packed)
            put_file(self._objects, keys.file(run, attempt, digest), packed, digest)
        finally:
            packed.unlink(missing_ok=True)
        key, pointer = keys.log(run, attempt), LogDocument(digest=digest, encoding="gzip")
        if not self._objects.put_if_absent(key, seal(key, pointer)):  # mostly there is none yet
            point(self._objects, key, pointer)

    def get_log(self, run: str, attempt: int, into: Path) -> bool:
        """Write an attempt's output to `into`; False if none was kept."""
        key = keys.log(run, attempt)
        pointer = get_or_none(self._objects, key)
        if pointer is None:
            return False
        document = unseal(key, pointer, LogDocument)
        packed = into if document.encoding is None else into.with_name(f"{into.name}.gz")
        fetch_file(self._objects, keys.file(run, attempt, document.digest), document.digest, packed)
        if document.encoding is not None:
            try:
                unpack(packed, into)
            finally:
                packed.unlink()
        return True

    def runs(self) -> Iterator[tuple[str, int]]:
        """Runs and attempts that left anything, sorted; attempts that still run can be among them."""
        found: set[tuple[str, int]] = set()
        for prefix in ("outcomes/", "logs/", "files/"):
            found.update(filter(None, map(keys.attempt_of, self._objects.keys(prefix))))
        yield from sorted(found)

    def contents(self) -> list[Content]:
        """What each attempt left that is still there, for deciding what is pruned; attempts that run are among them."""
        sizes: dict[tuple[str, int], dict[str, Entry]] = {}
        for entry in self._objects.entries("files/"):
            if of := keys.attempt_of(entry.key):
                sizes.setdefault(of, {})[entry.key] = entry
        found: list[Content] = []
        for entry in self._objects.entries("logs/"):
            of = keys.attempt_of(entry.key)
            document = get_or_none(self._objects, entry.key) if of else None
            if of and document is not None:
                log = keys.file(*of, unseal(entry.key, document, LogDocument).digest)
                kept = sizes.get(of, {}).pop(log, entry)
                found.append(Content(*of, "log", kept.size, kept.modified))
        for of, left in ((of, left) for of, left in sizes.items() if left):
            size, newest = sum(entry.size for entry in left.values()), max(entry.modified for entry in left.values())
            found.append(Content(*of, "outputs", size, newest))
        for entry in self._objects.entries("outcomes/"):
            if of := keys.attempt_of(entry.key):
                found.append(Content(*of, "outcome", entry.size, entry.modified))
        return found

    def drop_log(self, run: str, attempt: int) -> None:
        """Remove an attempt's log, its pointer first; a log that is not there is no error."""
        key = keys.log(run, attempt)
        document = get_or_none(self._objects, key)
        if document is None:
            return
        digest = unseal(key, document, LogDocument).digest
        outcome = self.outcome(run, attempt)
        self._objects.delete(key)
        if outcome is None or all(file.digest != digest for file in outcome.outputs.files):
            self._objects.delete(keys.file(run, attempt, digest))

    def drop_outputs(self, run: str, attempt: int) -> None:
        """Remove the content of an attempt's outputs; the outcome goes on naming them, and a mark says why not."""
        self._objects.put_if_absent(keys.dropped(run, attempt), b"")
        pointer = get_or_none(self._objects, keys.log(run, attempt))
        log = unseal(keys.log(run, attempt), pointer, LogDocument).digest if pointer is not None else ""
        for key in list(self._objects.keys(f"{keys.files(run)}{attempt}/")):
            if not log or key != keys.file(run, attempt, log):
                self._objects.delete(key)

    def delete_run(self, run: str) -> None:
        """Remove all that a run's attempts left: outcomes first, so that nothing ever points to what is gone.

        Deleting again ends what a killed deletion began; an unknown run is no error.
        """
        for prefix in (keys.outcomes(run), keys.logs(run), keys.files(run), keys.all_dropped(run)):
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
