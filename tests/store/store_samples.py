"""Small jobs, records and outcomes for the store's tests, and one call that reads everything a store has."""

from __future__ import annotations

from pathlib import Path

from launch_jobs.job import CaptureRecord, CodeSource, Entrypoint, Host, Job, JobVersion, Origin
from launch_jobs.names import sha256
from launch_jobs.run import Outcome, OutputFile, Outputs, Reason
from launch_jobs.store.jobs import JobStore

RUN = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"


def make_job(word: str = "train.py") -> Job:
    """A job whose content is told by one word."""
    return Job(source=CodeSource(tree=sha256(b"tree")), entrypoint=Entrypoint(argv=("python", word)))


def make_record(run: str, started: str = "2026-01-01T00:00:00Z") -> CaptureRecord:
    """A capture record of a run that went well."""
    host = Host(name="here", system="Linux", cpus=2)
    return CaptureRecord(run=run, argv=("python", "x"), exit_code=0, started=started, duration_s=1.5, host=host)


def make_outcome(attempt: int = 1, message: str = "done", outputs: tuple[OutputFile, ...] = ()) -> Outcome:
    """The outcome of an attempt that exited with 0."""
    return Outcome(
        run=RUN,
        attempt=attempt,
        place="docker://engine/name",
        reason=Reason.EXITED,
        exit_code=0,
        message=message,
        ended="2026-01-01T00:00:01Z",
        outputs=Outputs(files=outputs),
    )


def fill(store: JobStore, scratch: Path) -> tuple[JobVersion, OutputFile]:
    """Put one of everything into a store."""
    content = scratch / "content"
    content.write_bytes(b"content of a blob, an output and a log")
    digest = store.put_blob(content)
    first = store.add("digits", make_job("first"), Origin(archive=digest))
    store.add("digits", make_job("second"), Origin(archive=digest))
    store.add("other", make_job("third"), Origin(archive=digest))
    store.add_record(first, make_record("run-1"))
    output = OutputFile(path="model/weights.bin", size=content.stat().st_size, digest=digest)
    store.put_output(RUN, 1, output, content)
    store.put_log(RUN, 1, content)
    store.put_outcome(make_outcome(outputs=(output,)))
    return first, output


def read_everything(store: JobStore, scratch: Path) -> None:
    """Read whatever `fill` put into a store, through every way there is."""
    for name in store.names():
        store.aliases(name)
        for version in store.versions(name):
            store.records(version)
            if version.origin.archive:
                store.get_blob(version.origin.archive, scratch / "read-blob")
    outcome = store.outcome(RUN)
    for output in outcome.outputs.files if outcome else ():
        store.get_output(RUN, 1, output, scratch / "read-output")
    store.get_log(RUN, 1, scratch / "read-log")
