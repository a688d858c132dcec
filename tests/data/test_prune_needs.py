"""What open runs need, so that nothing of it is pruned."""

from __future__ import annotations

from launch_jobs.job import Dataset, Entrypoint, ImageSource, Job, Origin
from launch_jobs.names import sha256
from launch_jobs.retention.needs import Known, Needs
from launch_jobs.store.jobs import JobStore
from launch_jobs.testing import MemoryObjects


def test_what_runs_of_one_name_need_stays() -> None:
    """Two people may call their runs the same; each needs its own dataset."""
    store = JobStore(MemoryObjects())
    known: dict[str, Known] = {}
    for name in ("a", "b"):
        data = Dataset(name="d", url=f"file:{name}", digest=sha256(name.encode()))
        job = Job(source=ImageSource(reference=name), entrypoint=Entrypoint(argv=("true",)), datasets=(data,))
        version = store.add(name, job, Origin())
        known[name] = Known(id=name, name="nightly", over=None, job=version.digest, reference=version.reference)
    digests = (sha256(name.encode()).removeprefix("sha256:") for name in known)
    assert Needs(known).datasets(store) == dict.fromkeys(digests, "nightly")


def test_nothing_is_told_where_a_job_cannot_be_read() -> None:
    """Rather keep all."""
    gone = Known(id="x", name="x", over=None, job=sha256(b""), reference=f"gone@{sha256(b'')}")
    assert Needs({"x": gone}).datasets(JobStore(MemoryObjects())) is None
