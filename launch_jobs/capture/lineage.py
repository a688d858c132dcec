"""What a captured job was made from: the run it was captured in, the job that was checked out, the runs it reads."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from launch_jobs.home import home
from launch_jobs.job import Dataset, JobVersion, Parent
from launch_jobs.names import sha256

_OUTPUTS = "outputs://"


class _Checkout(BaseModel):
    """A folder that a job was written into; kept in our home, for the folder itself is the job's tree and no more."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    job: str
    stamp: tuple[int, int]


def parents_of(root: Path, datasets: Iterable[Dataset], environment: Mapping[str, str]) -> tuple[Parent, ...]:
    """What is known of where a job comes from.

    Args:
        root: the source root.
        datasets: the job's.
        environment: of the capture; the agent says in it which run it is in.
    """
    return tuple(dict.fromkeys(_parents(root, datasets, environment)))


def remember_checkout(directory: Path, version: JobVersion) -> None:
    """Note that a folder is the checkout of a job."""
    folder = directory.resolve()
    file = _file(folder)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(f".{os.getpid()}")
    new.write_text(_Checkout(job=version.reference, stamp=_stamp(folder)).model_dump_json())
    new.replace(file)


def _parents(root: Path, datasets: Iterable[Dataset], environment: Mapping[str, str]) -> Iterator[Parent]:
    if run := environment.get("LAUNCH_RUN_ID"):
        yield Parent(how="run", run=run, job=environment.get("LAUNCH_JOB"))
    if job := _checked_out(root):
        yield Parent(how="checkout", job=job)
    for one in datasets:
        if one.url.startswith(_OUTPUTS):
            yield Parent(how="outputs", run=one.url.removeprefix(_OUTPUTS).partition("/")[0])


def _checked_out(root: Path) -> str | None:
    try:
        known = _Checkout.model_validate_json(_file(root).read_bytes())
        return known.job if known.stamp == _stamp(root) else None  # else another folder has its name now
    except (OSError, ValidationError):
        return None


def _stamp(folder: Path) -> tuple[int, int]:
    found = folder.stat()
    return found.st_dev, found.st_ino


def _file(folder: Path) -> Path:
    return home() / "checkouts" / f"{sha256(os.fsencode(folder))[7:39]}.json"
