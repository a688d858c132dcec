"""The config files of a run: those of its job of which it changes a parameter, with the new values in them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import unified_diff

from pydantic import Field, JsonValue

from launch_jobs.arguments import changed_parameters
from launch_jobs.config_files import Keys, NotConfigError, read_config
from launch_jobs.errors import BadInput
from launch_jobs.job import Frozen, InputFile, Inputs


class ChangedFile(Frozen):
    """A config file as one run gets it."""

    path: str = Field(description="Relative to the source root.")
    before: str = Field(description="Its text in the source tree.")
    after: str = Field(description="Its text for the run.")

    @property
    def diff(self) -> str:
        """What is different, as a unified diff without lines around."""
        lines = (self.before.splitlines(keepends=True), self.after.splitlines(keepends=True))
        return "".join(unified_diff(*lines, f"a/{self.path}", f"b/{self.path}", n=0))


def changed_files(inputs: Inputs, parameters: Mapping[str, JsonValue]) -> tuple[ChangedFile, ...]:
    """The files that give a program these parameters; a file of which none is changed stays as it is.

    Raises:
        BadInput: a value cannot be written into its file without changing more of it; or a file is none of the tree.
    """
    changed = changed_parameters(inputs, parameters)
    values: dict[str, dict[Keys, JsonValue]] = {}
    for option in inputs.options:
        if option.file is not None and option.name in changed:
            values.setdefault(option.file, {})[option.at] = changed[option.name]
    return tuple(_changed(file, values[file.path]) for file in inputs.files if file.path in values)


def _changed(file: InputFile, values: Mapping[Keys, JsonValue]) -> ChangedFile:
    if {"", ".", ".."} & set(file.path.split("/")) or "\0" in file.path:
        raise BadInput(f"{file.path!r} of the job is no path in its source tree", do="Capture the job again")
    try:
        config = read_config(file.path, file.text)
    except NotConfigError as error:
        raise BadInput(f"{file.path} of the job cannot be read: {error}", do="Capture the job again") from error
    return ChangedFile(path=file.path, before=file.text, after=config.changed(values))
