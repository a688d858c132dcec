"""Commands that start another one in a project's environment: `uv run`, `poetry run`, `conda run`.

A job's own environment takes their place: no image has the runner, and what it would install is in the image already.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_PYTHON = re.compile(r"^python[0-9.]*t?$")
_UV = """
--extra --no-extra --group --no-group --only-group --with --with-editable --with-requirements -w -p --python --index
--default-index -i --index-url --extra-index-url -f --find-links -P --upgrade-package --reinstall-package -C
--no-binary-package --no-build-package --index-strategy --keyring-provider --config-setting --link-mode --exclude-newer
--prerelease --resolution --fork-strategy --cache-dir --python-preference --allow-insecure-host --config-file --package
--refresh-package
"""
_CONDA = "-n --name -p --prefix"
_RUNNERS = {
    name: frozenset(options.split())
    for name, options in {"uv": _UV, "poetry": "", "conda": _CONDA, "mamba": _CONDA, "micromamba": _CONDA}.items()
}
"""Runner → its options that take a word after them."""

_ELSEWHERE = ("--directory", "--project", "--cwd", "--env-file", "--gui-script")
"""With these the program runs in another folder, or with variables from a file: the command is left as it is."""


def inner_command(argv: Sequence[str]) -> tuple[str, ...]:
    """The command that a runner starts, as the environment itself starts it; empty if this is no runner's command."""
    runner = Path(argv[0]).name if argv else ""
    if runner not in _RUNNERS or "run" not in argv[1:]:
        return ()
    place = argv.index("run")
    if any(not word.startswith("-") for word in argv[1:place]):
        return ()
    return _inner(runner, tuple(argv[place + 1 :]))


def inner_name(argv: Sequence[str]) -> str:
    """What a runner's command is about: a script's stem, a module's last part, a program; "" if this is no runner's."""
    words = [word for word in inner_command(argv) if word == "-m" or not word.startswith("-")]
    if len(words) > 1 and program_is_python(words[0]):
        return words[2].rpartition(".")[2] if words[1] == "-m" and len(words) > 2 else Path(words[1]).stem
    return Path(words[0]).stem if words else ""


def program_is_python(word: str) -> bool:
    """Whether a command's first word is some Python: `python3.11`, `.venv/bin/python`."""
    return _PYTHON.match(Path(word).name) is not None


def _inner(runner: str, words: tuple[str, ...]) -> tuple[str, ...]:
    index = 0
    while index < len(words) and words[index].startswith("-") and words[index] != "-":
        word = words[index]
        if word == "--":
            index += 1
            break
        if word.split("=")[0] in _ELSEWHERE:
            return ()
        if runner == "uv" and word in ("-m", "--module"):
            return ("python", "-m", *words[index + 1 :])
        if runner == "uv" and word in ("-s", "--script"):
            return ("python", *words[index + 1 :])
        index += 2 if word in _RUNNERS[runner] else 1
    return _as_uv(words[index:]) if runner == "uv" else words[index:]


def _as_uv(words: tuple[str, ...]) -> tuple[str, ...]:
    """`uv run` takes a script, a folder with a `__main__.py`, or `-`, for a program of Python."""
    if words and (words[0] == "-" or words[0].endswith((".py", ".pyw", ".pyz"))):
        return ("python", *words)
    return words
