"""What is installed in a Python, as that Python says itself."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from launch_jobs.capture.process import run_quiet
from launch_jobs.errors import CaptureError
from launch_jobs.job import JsonObject
from launch_jobs.tracker import PROBE


class Installed(BaseModel):
    """One distribution as the interpreter has it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str
    version: str | None
    location: str
    metadata: str = ""
    installer: str = ""
    direct_url: JsonObject | None = None
    requires: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


class Probe(BaseModel):
    """What an interpreter is, and has installed, in the order of its path."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    python: str
    implementation: str
    system: str
    machine: str
    prefix: str
    executable: str
    markers: dict[str, str]
    distributions: tuple[Installed, ...]
    problems: tuple[str, ...] = ()

    @property
    def platform(self) -> str:
        """As OCI writes it."""
        machine = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64"}.get(self.machine.lower(), self.machine)
        return f"{self.system.lower()}/{machine}"


def probe_interpreter(
    python: str, flags: Sequence[str], environment: Mapping[str, str], path: Sequence[str] = ()
) -> Probe:
    """Ask an interpreter what is installed; with a `sys.path` of a program that it ran, on that path.

    Raises:
        CaptureError: it does not start, or does not answer.
    """
    # With a known path no code of the user's start-up (site, .pth files, sitecustomize) need run again.
    options = ("-I", "-S") if path else tuple(flags)
    with tempfile.TemporaryDirectory(prefix="launch-probe-") as folder:
        answer = Path(folder) / "answer.json"
        run_quiet((python, *options, str(PROBE), str(answer)), json.dumps(list(path)), environment)
        try:
            return Probe.model_validate_json(answer.read_bytes())
        except (OSError, ValidationError) as error:
            raise CaptureError(f"{python!r} did not say what is installed") from error
