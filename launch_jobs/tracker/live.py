"""`launch_jobs.track` in a live notebook: at its end, the notebook as it was saved becomes a job.

Standard library only, CPython 3.8 and later. Nothing of ours stays in the kernel: no hooks; what it has imported is
looked at once.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import Any

from launch_jobs.tracker.attach import load

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_NO_NOTEBOOK = "this kernel does not say which notebook it runs: add notebook='NAME.ipynb' to track"


def in_notebook() -> bool:
    """Whether this process is a kernel (a terminal's IPython is not)."""
    return hasattr(_shell(), "kernel")


class Live:
    """Captures the notebook around a `with track(...)`.

    Attributes:
        name: of the job.
        notebook: its file as the user says it; None: as the kernel's server does.
    """

    def __init__(self, name: str | None, notebook: str | None, record: Callable[[str], None]) -> None:
        self.name = name
        self.notebook = notebook
        self._record = record
        self._began = time.monotonic()

    def end(self, failed: bool) -> None:
        """Capture now; whatever goes wrong is one line on the error output, and never the user's exception."""
        try:
            problem = self._capture(failed)
        except Exception as error:  # noqa: BLE001  the run is the user's, and it is over
            problem = repr(error)
        if problem:
            print(f"launch_jobs.track does not capture this notebook: {problem}", file=sys.stderr)

    def _capture(self, failed: bool) -> str | None:
        file = os.path.abspath(self.notebook) if self.notebook else notebook_file()  # noqa: PTH100
        if file is None:
            return _NO_NOTEBOOK
        first = {"notebook": file, "executed": executed(), "pid": os.getpid(), "name": self.name, "command": []}
        last = {"exit_code": int(failed), "seconds": time.monotonic() - self._began}
        with subprocess.Popen(
            [sys.executable, "-m", "launch_jobs.cli.beside"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as beside:
            assert beside.stdin is not None  # noqa: S101  for the type only
            assert beside.stdout is not None  # noqa: S101
            beside.stdin.write(json.dumps(first).encode() + b"\n")
            beside.stdin.flush()
            answer = json.loads(beside.stdout.readline() or b"{}")
            if answer:
                self._journal(answer)
            _, said = beside.communicate(json.dumps(last).encode() + b"\n" if answer else None)
        print(said.decode(errors="replace").strip(), file=sys.stderr)
        return None

    def _journal(self, environment: dict[str, str]) -> None:
        """Leave what the tracker would have seen."""
        folder = environment["LAUNCH_TRACK_DIR"]
        tracker = load("_launch_tracker")
        journal = tracker["Tracker"](folder, environment["LAUNCH_TRACK_ROOT"])
        kernels = _kernel_modules()
        used = {name: file for name, file in tracker["modules"]().items() if name.partition(".")[0] not in kernels}
        journal.append("begin")
        journal.append("modules", used)
        journal.append("path", tracker["search_path"]())
        journal.append("libraries", tracker["libraries"]())
        journal.append("end")
        self._record(folder)


def notebook_file() -> str | None:
    """The notebook of this kernel, as its front end says it."""
    names = getattr(_shell(), "user_ns", {})
    for said in (names.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if isinstance(said, str) and said.endswith(".ipynb"):
            for path in (said, os.path.basename(said)):  # noqa: PTH119  relative to the server's folder, or ours
                if os.path.isfile(path):  # noqa: PTH113
                    return os.path.abspath(path)  # noqa: PTH100
    return None


def executed() -> list[str]:
    """The cells that this kernel was given, oldest first, this one included."""
    history = getattr(getattr(_shell(), "history_manager", None), "input_hist_raw", [])
    return [text for text in history if isinstance(text, str) and text.strip()]


def _shell() -> Any:
    return getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()


def _kernel_modules() -> set[str]:
    """Modules of the kernel itself: a job needs them only if its own code imports them, which its source shows."""
    found: set[str] = set()
    seen: set[str] = set()
    wanted = ["ipykernel"]
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        try:
            one = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue
        found.update(str(file).split("/")[0].partition(".")[0] for file in one.files or ())
        needed = (_NAME.match(text) for text in one.requires or () if "extra ==" not in text)
        wanted.extend(match.group() for match in needed if match)
    return found
