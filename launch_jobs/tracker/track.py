"""`launch_jobs.track`, for use inside a training script. Standard library only, CPython 3.8 and later."""

from __future__ import annotations

import json
import os
import time
from types import TracebackType


class Tracked:
    """A tracked piece of a script: `with track(...) as run:`, or without `with`.

    Attributes:
        name: as given.
        parameters: the hyperparameters to use: in a launched run those of the launch, over those given.
    """

    def __init__(self, name: str | None, parameters: dict[str, object]) -> None:
        self.name = name
        self.parameters = parameters

    def __enter__(self) -> Tracked:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def track(name: str | None = None, parameters: dict[str, object] | None = None) -> Tracked:
    """Name the hyperparameters of a script, and take those of the launch.

    In a launched run: captures nothing, and gives the launched parameters over the given ones. Under `launch run`: adds
    the parameters to the record of the tracked run. Started as plain `python train.py`: gives the parameters as they
    are; nothing is captured then (start the script with `launch run` for that).

    Raises:
        ValueError: LAUNCH_PARAMETERS, which the agent sets, is no JSON.
    """
    given = dict(parameters or {})
    if os.environ.get("LAUNCH_RUN_ID"):
        return Tracked(name, {**given, **_launched()})
    if os.environ.get("LAUNCH_TRACK_DIR"):
        _record(os.environ["LAUNCH_TRACK_DIR"], given)
    return Tracked(name, given)


def _launched() -> dict[str, object]:
    launched: dict[str, object] = json.loads(os.environ.get("LAUNCH_PARAMETERS") or "{}")
    return launched


def _record(folder: str, parameters: dict[str, object]) -> None:
    path = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}.json")  # noqa: PTH118
    try:
        with open(path + ".new", "w", encoding="ascii") as file:  # noqa: PTH123
            json.dump({key: _plain(value) for key, value in parameters.items()}, file)
        os.replace(path + ".new", path)  # noqa: PTH105
    except OSError:
        pass  # a record that cannot be written must not fail the run


def _plain(value: object) -> object:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return str(value)
    return value
