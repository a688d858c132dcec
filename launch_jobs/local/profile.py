"""The Prefect profile `launch-jobs`, by which the stock Prefect commands find the home's server.

Written as text, not by Prefect's own functions: those drop the user's comments, and importing Prefect here would fix
its settings for this process before the caller could name the server to it.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from pathlib import Path
from typing import TypedDict, cast

from launch_jobs.errors import BadInput
from launch_jobs.local.connection import Connection, write_private

NAME = "launch-jobs"

_SECTION = re.compile(rf"^\[profiles\.{NAME}\][^\n]*\n(?:(?!\[)[^\n]*\n?)*", re.MULTILINE)


class _File(TypedDict, total=False):
    active: str
    profiles: dict[str, dict[str, str]]


def write_profile(to: Connection) -> bool:
    """Write the profile into the user's profiles file; the active profile stays as it is. True if it changed.

    Raises:
        BadInput: the file is there, but it is not TOML, or cannot be written.
    """
    path = _path().resolve()  # the link of a dotfiles repository stays a link
    values = {"PREFECT_API_URL": to.api_url, "PREFECT_API_AUTH_STRING": to.auth_string, "PREFECT_API_KEY": to.api_key}
    wanted = {name: value for name, value in values.items() if value}
    try:
        text = path.read_text() if path.exists() else ""
        if _profiles(text).get(NAME) == wanted:
            return False
        changed = with_section(text, wanted)
        if _profiles(changed) != _profiles(text) | {NAME: wanted}:
            raise BadInput(f"The profile {NAME} in {path} is written in a way we cannot edit", do="Remove it there")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, changed)
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadInput(f"The Prefect profile cannot be written into {path} ({error})", do="Mend the file") from error
    return True


def with_section(text: str, settings: dict[str, str]) -> str:
    """A profiles file with our section replaced or added, all else as it was."""
    # A JSON string is a TOML basic string.
    lines = [f"[profiles.{NAME}]", *(f"{name} = {json.dumps(value)}" for name, value in settings.items())]
    rest = _SECTION.sub("", text).rstrip("\n")
    return (rest + "\n\n" if rest else "") + "\n".join(lines) + "\n"


def _profiles(text: str) -> dict[str, dict[str, str]]:
    return cast("_File", tomllib.loads(text)).get("profiles", {})


def _path() -> Path:
    """As Prefect finds it."""
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect"))
    return Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")).expanduser()
