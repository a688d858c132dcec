"""Config files as parameters: those that `--input-file` names, and those that the run itself shows to be such.

A file shows it by being read while an argument names it; or, in a program without any other parameter, by being the
only one of its kind that is read. What looks like data, or belongs to a tool, is never taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import cast

from pydantic import JsonValue

from launch_jobs.arguments import properties_of
from launch_jobs.capture.entrypoint import Located
from launch_jobs.capture.examples import ANY, schema_by
from launch_jobs.capture.hydra_inputs import SeenHydra
from launch_jobs.capture.parameters import CapturedInputs
from launch_jobs.capture.secret_values import is_secret
from launch_jobs.capture.secrets import secrets_in
from launch_jobs.capture.seen import Seen
from launch_jobs.capture.source import Snapshot
from launch_jobs.config_files import LARGEST, SUFFIXES, ConfigText, Keys, NotConfigError, dotted, read_config
from launch_jobs.errors import BadInput, Refused
from launch_jobs.job import InputFile, Inputs, JsonObject, Option

MOST, LONGEST = 200, 100
"""Values in a file, and items in a list of them: what has more is data, unless `--input-file` names it."""

_MOST_GIVEN = 1000
_TOOLS = (
    *("package.json", "package-lock.json", "composer.json", "tsconfig*.json", "pyproject.toml", "cargo.toml"),
    *("*.lock", "*-lock.*", "*.lock.*", "pixi.toml", "uv.toml", "ruff.toml", "poetry.toml", "environment.y*ml"),
    *("*compose.y*ml", "compose.*.y*ml", "mkdocs.y*ml", "dvc.yaml", "prefect.yaml", "mlproject", "meta.yaml"),
)
"""Names of files that are for tools, whatever a program reads in them."""

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")


@dataclass(frozen=True, slots=True)
class ConfigFiles:
    """Where the config files of a run are looked for.

    Attributes:
        given: those that `--input-file` named.
        place: the command in its source tree.
        snapshot: the source tree.
    """

    given: tuple[ConfigText, ...]
    place: Located
    snapshot: Snapshot

    @classmethod
    def of(cls, paths: Sequence[str], place: Located, snapshot: Snapshot) -> ConfigFiles:
        """Read, before the program starts, what `--input-file` names.

        Raises:
            BadInput: a file is none of the source tree, or no config file.
            Refused: it holds a secret, which the job would tell.
        """
        found = {path: _given(path, place, snapshot) for path in dict.fromkeys(paths)}
        return cls(tuple({one.path: one for one in found.values()}.values()), place, snapshot)

    def added_to(self, captured: CapturedInputs, seen: Seen) -> CapturedInputs:
        """The inputs with the values of the run's config files; what has a name already keeps it."""
        read = _read(self.snapshot, seen)
        given = {one.path for one in self.given}
        notes = [f"{path} was not seen to be read." for path in sorted(given - read)]
        files = list(self.given)
        for path, why in self._proposed(captured, seen, read - given):
            config = _probable(path, self.snapshot)
            if config:
                files.append(config)
                notes.append(f"The values in {path} are parameters: {why}.")
        for one in files:
            captured = _with(captured, one)
        earlier = [f"{captured.note.rstrip('.')}."] if captured.note and notes else [captured.note or ""]
        note = " ".join(filter(None, [*earlier, *notes]))
        return replace(captured, note=note or None)

    def _proposed(self, captured: CapturedInputs, seen: Seen, read: set[str]) -> Iterator[tuple[str, str]]:
        if isinstance(seen.parser, SeenHydra):
            return  # which has its own way with its files
        named = {path for word in _words(captured) for path in self._paths(word)}
        for path in sorted(read & named):
            yield path, "an argument names it, and it was read"
        if not read & named and len(read) == 1 and not self.given and not properties_of(captured.inputs):
            yield next(iter(read)), "it is the only such file that was read, and nothing else is a parameter"

    def _paths(self, word: str) -> Iterator[str]:
        """The files that a word of the command line may mean: relative to where it runs, to the root, to the script."""
        root = self.place.root
        for folder in {self.place.directory, root, root / self.place.folder}:
            try:
                path = (folder / word).resolve()
            except (OSError, ValueError):
                continue
            if path.is_relative_to(root):
                yield path.relative_to(root).as_posix()


def _given(typed: str, place: Located, snapshot: Snapshot) -> ConfigText:
    path = place.relative(typed)
    mode = next((entry.mode for entry in snapshot.files if entry.path == path), None)
    if path is None or mode is None:
        why = "outside" if path is None else "ignored, so no part of" if (place.root / path).exists() else "not in"
        raise BadInput(f"the input file {typed!r} is {why} the source tree {place.root}", do="Name one of its files")
    if mode == "link":
        raise BadInput(f"the input file {typed!r} is a symbolic link", do="Name the file that it leads to")
    if _is_tools(path):
        raise BadInput(f"{typed!r} describes a project or a tool, and no run", do="Name a config file of the program")
    try:
        config = _config(path, snapshot)
    except NotConfigError as error:
        raise BadInput(f"the input file {typed!r} cannot be one: {error}", do="See docs/parameters.md") from error
    if len(config.values) > _MOST_GIVEN:
        raise BadInput(f"the input file {typed!r} has {len(config.values)} values, at most {_MOST_GIVEN} can be")
    if secret := _secret(config):
        raise Refused(
            f"the input file {typed!r} holds a secret ({secret}), and the job would tell it",
            do="Let the program read it from an environment variable",
        )
    return config


def _config(path: str, snapshot: Snapshot) -> ConfigText:
    """A file of the tree as it was captured."""
    file = snapshot.root / path
    if file.exists() and file.stat().st_size > LARGEST:
        raise NotConfigError(f"it has more than {LARGEST >> 10} KiB")
    data = snapshot.read(path)
    try:
        config = read_config(path, data.decode())
    except UnicodeDecodeError as error:
        raise NotConfigError("it is not UTF-8 text") from error
    if len(data) > LARGEST or not config.values:
        raise NotConfigError("it holds no value" if data else "it is empty")
    return config


def _probable(path: str, snapshot: Snapshot) -> ConfigText | None:
    """A file that nobody named to us; None if it might be data, or cannot be read."""
    try:
        config = _config(path, snapshot)
    except NotConfigError:
        return None
    long = any(isinstance(value, list) and len(value) > LONGEST for value in config.values.values())
    named = all(_KEY.fullmatch(key) for keys in config.values for key in keys)
    return config if len(config.values) <= MOST and named and not long and not _secret(config) else None


def _secret(config: ConfigText) -> str | None:
    """What in a file is secret: its name, or its kind."""
    found = secrets_in(config.text)
    by_name = (dotted(keys) for keys, value in config.values.items() if is_secret(keys[-1], value))
    return found[0].kind if found else next(by_name, None)


def _read(snapshot: Snapshot, seen: Seen) -> set[str]:
    """The config files of the source tree that the run read and did not write."""
    written = {path for one in seen.observations for path in one.written}
    read = {path for one in seen.observations for path in one.read if path not in written}
    inside = {Path(path).relative_to(snapshot.root).as_posix() for path in read if _is_below(path, snapshot.root)}
    wanted = {path for path in inside if PurePosixPath(path).suffix.lower() in SUFFIXES and not _is_tools(path)}
    return {entry.path for entry in snapshot.files if entry.path in wanted and entry.mode != "link"}


def _is_below(path: str, root: Path) -> bool:
    return Path(path).is_relative_to(root)


def _is_tools(path: str) -> bool:
    pure = PurePosixPath(path)
    hidden = any(part.startswith(".") for part in pure.parts)
    return hidden or any(fnmatchcase(pure.name.lower(), pattern) for pattern in _TOOLS)


def _words(captured: CapturedInputs) -> Iterator[str]:
    """What the arguments are: the values of options, and the words that no parser told of."""
    given = [captured.values.get(option.name) for option in captured.inputs.options]
    for value in given:
        texts = value if isinstance(value, list) else [value]
        yield from (text for text in texts if isinstance(text, str))
    for word in captured.argv[1:]:
        yield word.partition("=")[2] if word.startswith("-") else word


def _with(captured: CapturedInputs, config: ConfigText) -> CapturedInputs:
    schema, options = captured.inputs.parameters_schema, captured.inputs.options
    properties = properties_of(captured.inputs)
    set_by = {option.name for option in options}
    added: dict[str, Keys] = {}
    for keys in config.values:
        name = dotted(keys)
        if name in properties and name not in set_by:
            continue  # the program gave it to `track`, which brings the launch's value
        free = next((one for one in _names(config.path, name) if one not in properties and one not in added), None)
        added |= {free: keys} if free else {}
    new = {name: _property(name, config, keys) for name, keys in added.items()}
    inputs = Inputs(
        parameters_schema={**schema, "properties": cast("JsonValue", {**properties, **new})},
        options=(*options, *(_option(name, config, keys) for name, keys in added.items())),
        files=(*captured.inputs.files, InputFile(path=config.path, text=config.text)) if added else (),
    )
    return replace(captured, inputs=inputs, values={**_values(config, added), **captured.values}) if added else captured


def _names(path: str, name: str) -> Iterator[str]:
    """As in the file; where that is another parameter's, with the file's stem, or its path, before it."""
    yield name
    yield f"{dotted((PurePosixPath(path).stem,))}.{name}"
    yield f"{dotted((path,))}.{name}"


def _property(name: str, config: ConfigText, keys: Keys) -> JsonObject:
    value = config.values[keys]
    # A reference to another value tells nothing of the type; nor does OmegaConf's mark for one that is missing.
    unknown = isinstance(value, str) and (value == "???" or "${" in value)
    types: JsonObject = {"type": [*ANY]} if unknown else schema_by(value)
    return {**types, "title": name, "default": value, "description": f"in {config.path}"}


def _option(name: str, config: ConfigText, keys: Keys) -> Option:
    return Option(name=name, flag=None, action="file", file=config.path, at=keys)


def _values(config: ConfigText, added: Mapping[str, Keys]) -> JsonObject:
    return {name: config.values[keys] for name, keys in added.items()}
