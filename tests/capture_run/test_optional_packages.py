"""Installed packages that a library can use, and no import statement names: pandas' pyarrow."""

from __future__ import annotations

from pathlib import Path

from launch_jobs.capture.environment import Evidence, Mode, environment_of
from launch_jobs.capture.probed import Installed, Probe

SITE = "/v/lib/python3.11/site-packages"
FRAMES = (
    'columns; extra == "parquet"',
    "colours; extra == 'style'",
    'runner; extra == "test"',
    'runner; extra == "all"',
    'absent; extra == "cloud"',
)


def needed(mode: Mode, *, scanned: tuple[str, ...]) -> list[str]:
    """Names of what a job needs whose interpreter has frames and all that it can use."""
    installed = [
        Installed(name=name, version="1.0", location=SITE, modules=(name,), requires=FRAMES if name == "frames" else ())
        for name in ("frames", "columns", "colours", "runner")
    ]
    probe = Probe(
        python="3.11.7",
        implementation="cpython",
        system="Linux",
        machine="x86_64",
        prefix="/v",
        executable="/v/bin/python",
        markers={"sys_platform": "linux"},
        distributions=tuple(installed),
    )
    imported: dict[str, str | None] = {"frames": f"{SITE}/frames.py"}
    evidence = Evidence(Path("/w/tree"), (), imported, scanned, ())
    return [one.name for one in environment_of(probe, evidence, mode).distributions]


def test_what_a_library_of_the_source_can_use_is_in_the_job() -> None:
    """Another parameter value may reach it; tools of the library's own developers it cannot."""
    assert needed("project", scanned=("frames",)) == ["colours", "columns", "frames"]


def test_a_library_that_another_one_imported_brings_no_more() -> None:
    """Else nearly everything would be in every job."""
    assert needed("project", scanned=()) == ["frames"]


def test_what_was_imported_stays_what_it_is() -> None:
    """--environment imported adds nothing."""
    assert needed("imported", scanned=("frames",)) == ["frames"]
