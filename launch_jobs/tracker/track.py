"""`launch_jobs.track`, for use inside a training script. Standard library only, CPython 3.8 and later."""

# The parameters are of any type, and dict, tuple and set of them have no types of their own to pyright:
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false

from __future__ import annotations

import argparse
import dataclasses
import enum
import json
import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

P = TypeVar("P")

DEEPEST = 64
LARGEST = 1 << 20  # characters of JSON, of all parameters together


class Tracked(Generic[P]):
    """A tracked piece of a script: `with track(...) as run:`, or without `with`.

    Attributes:
        name: as given.
        parameters: the hyperparameters to use, of the type that was given: in a launched run those of the launch, over
            those given.
    """

    def __init__(self, name: str | None, parameters: P, end: Callable[[bool], None] | None = None) -> None:
        self.name = name
        self.parameters = parameters
        self._end = end

    def __enter__(self) -> Tracked[P]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._end is not None:
            self._end(kind is not None)


def track(
    name: str | None = None,
    parameters: Any = None,
    schema: dict[str, Any] | None = None,
    notebook: str | None = None,
) -> Tracked[Any]:
    """Name the hyperparameters of a script, and take those of the launch.

    In a launched run: captures nothing, and gives the launched parameters over the given ones. Under `launch run`: adds
    the parameters to the record of the tracked run, and to what a launch may set. Started as plain `python train.py`:
    captures the script from here on, as `launch run` would have (its arguments, if they are parsed after this call; its
    exit code, unless it says one to `sys.exit`). In a notebook: captures the saved notebook when the `with` ends.
    LAUNCH_TRACK=off in the environment: captures nothing.

    Args:
        name: of this piece of the script.
        parameters: a dict, an argparse namespace, a dataclass or a pydantic model, each of them nested as you like: a
            launch names the inner ones with dots, as `model.depth`. What has no JSON form stays the script's own.
        schema: JSON schema of the parameters; default: that of the pydantic model, else what the values are.
        notebook: the file of the notebook that this is in, where the kernel does not tell.

    Raises:
        ValueError: LAUNCH_PARAMETERS, which the agent sets, is no JSON.
    """
    given: Any = {} if parameters is None else parameters
    if os.environ.get("LAUNCH_RUN_ID"):
        return Tracked(name, changed(given, _launched()))
    if not os.environ.get("LAUNCH_TRACK_DIR") and os.environ.get("LAUNCH_TRACK") != "off":
        from launch_jobs.tracker import live

        if live.in_notebook():
            capture = live.Live(name, notebook, lambda folder: _record(folder, given, schema))
            return Tracked(name, changed(given, {}), capture.end)
        from launch_jobs.tracker.attach import attach

        attach(name)
    if os.environ.get("LAUNCH_TRACK_DIR"):
        _record(os.environ["LAUNCH_TRACK_DIR"], given, schema)
    return Tracked(name, changed(given, {}))


def _launched() -> dict[str, Any]:
    launched: dict[str, Any] = json.loads(os.environ.get("LAUNCH_PARAMETERS") or "{}")
    return launched


def _record(folder: str, parameters: Any, schema: dict[str, Any] | None) -> None:
    path = os.path.join(folder, f"{os.getpid()}-{time.time_ns()}")  # noqa: PTH118
    try:
        values, texts = flat(parameters)
        described = {"names": sorted(values), "schema": schema or schema_of(parameters)}
        for ending, content in ((".schema", described), (".json", {**values, **texts})):
            with open(path + ending + ".new", "w", encoding="ascii") as file:  # noqa: PTH123
                json.dump(content, file, allow_nan=False)
            os.replace(path + ending + ".new", path + ending)  # noqa: PTH105
    except (OSError, TypeError, ValueError, RecursionError):
        pass  # a record that cannot be written must not fail the run


# --- parameters as a script keeps them; pydantic is known by what its models have ---------------------------------


def flat(parameters: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """What JSON can say of the parameters, by dotted name; and the rest as text, which no launch can set."""
    values: dict[str, Any] = {}
    texts: dict[str, str] = {}
    room = LARGEST
    for name, value in _leaves(parameters, "", 0):
        try:
            found = plain(value)
            size = len(name) + len(json.dumps(found))
        except (TypeError, ValueError, RecursionError):
            texts[ascii(name)[1:-1]] = ascii(value)[:200]
            continue
        if size <= room:
            values[name] = found
            room -= size
    return values, texts


def changed(parameters: Any, launched: dict[str, Any], prefix: str = "") -> Any:
    """A copy of the same type, with the launched values in their places; a dict takes those that it does not have."""
    inner = members(parameters) if prefix.count(".") < DEEPEST else None
    if inner is None:
        return _alike(parameters, launched[prefix[:-1]]) if prefix[:-1] in launched else parameters
    new = {name: changed(value, launched, f"{prefix}{name}.") for name, value in inner.items()}
    if isinstance(parameters, dict):
        rest = {} if prefix else {name: launched[name] for name in launched if not _holds(new, name)}
        return {**parameters, **new, **rest}
    if dataclasses.is_dataclass(parameters):
        takes = {field.name for field in dataclasses.fields(parameters) if field.init}
        return dataclasses.replace(parameters, **{name: value for name, value in new.items() if name in takes})  # pyright: ignore[reportArgumentType]  an instance, as members() saw
    if isinstance(parameters, argparse.Namespace):
        return argparse.Namespace(**new)
    make = getattr(parameters, "model_copy", None) or parameters.copy  # pydantic 2, pydantic 1
    return make(update=new)


def schema_of(parameters: Any) -> dict[str, Any] | None:
    """The JSON schema that a pydantic model has."""
    make = getattr(type(parameters), "model_json_schema", None) or getattr(type(parameters), "schema", None)
    if make is None or _model_fields(parameters) is None:
        return None
    try:
        return make()
    except Exception:  # noqa: BLE001  a field of a type without a schema: each release has its own error
        return None


def members(value: Any) -> dict[str, Any] | None:
    """What is inside, by name; None of a value that is one parameter."""
    if isinstance(value, argparse.Namespace):
        return dict(vars(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if (fields := _model_fields(value)) is not None:
        return {name: getattr(value, name) for name in fields}
    if isinstance(value, dict) and all(type(name) is str for name in value):
        return dict(value)
    return None


def plain(value: Any) -> Any:
    """The value as JSON has it.

    Raises:
        ValueError, TypeError: it has no such form: infinite, not a number, half a character, an object.
    """
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, dict):
        return {_key(name): plain(item) for name, item in value.items()}
    if isinstance(value, enum.Enum):
        value = value.value
    elif isinstance(value, os.PathLike):
        value = os.fspath(value)
    elif type(value).__module__ == "numpy" and hasattr(value, "item"):
        value = value.item() if value.ndim == 0 else value.tolist()
    if isinstance(value, str):
        value.encode()
    json.dumps(value, allow_nan=False)
    return value


def _key(name: Any) -> str:
    if type(name) is not str:
        raise TypeError(name)
    return plain(name)


def _leaves(value: Any, prefix: str, depth: int) -> list[tuple[str, Any]]:
    inner = members(value) if depth < DEEPEST else None
    if inner is None or (prefix and not inner):
        return [(prefix[:-1], value)] if prefix else []
    return [leaf for name, one in inner.items() for leaf in _leaves(one, f"{prefix}{name}.", depth + 1)]


def _model_fields(value: Any) -> Any:
    kind = type(value)
    if not hasattr(kind, "__pydantic_validator__") and not hasattr(kind, "__validators__"):
        return None
    return getattr(kind, "model_fields", None) or getattr(kind, "__fields__", None)


def _holds(new: dict[str, Any], name: str) -> bool:
    return name.partition(".")[0] in new


def _alike(given: Any, launched: Any) -> Any:
    """The launched value as the type that the script has: a path, a member, a tuple."""
    try:
        plain(given)
    except (TypeError, ValueError):
        return given  # it was never a parameter
    make: Any = type(given)
    if launched is None:
        return None
    if isinstance(given, (enum.Enum, tuple, set, frozenset, os.PathLike)):
        return make(launched)
    if isinstance(given, float) and isinstance(launched, int) and not isinstance(launched, bool):
        return float(launched)
    return make(launched) if make.__module__ == "numpy" and not isinstance(launched, list) else launched
