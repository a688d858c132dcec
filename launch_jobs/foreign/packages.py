"""Requirements that another tool wrote down, as exact distributions: pins as they are, the rest by uv's resolver."""

from __future__ import annotations

import re
import subprocess
import tomllib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from launch_jobs.capture.environment import without_credentials
from launch_jobs.errors import BadInput, CaptureError
from launch_jobs.job import Distribution
from launch_jobs.settings import load_settings

_PYTHON = re.compile(r"3\.[0-9]{1,2}(?:\.[0-9]{1,3})?(?=$|[^0-9.])")
_LIMIT_S = 300


def python_version(text: str) -> str | None:
    """The version in what others write (`3.11.7`, `CPython 3.11.7`, `python-3.8.9`, `3.12.0rc1`), or None."""
    found = _PYTHON.search(text)
    return found[0] if found else None


def requirement_lines(text: str) -> list[str]:
    """The lines that ask for something, without comments."""
    lines = (re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line]


def distributions_of(lines: Sequence[str], python: str, root: Path) -> tuple[Distribution, ...]:
    """Exact distributions for requirement lines, sorted by name.

    Where every line is a pin they are taken as they are: somebody's environment, already closed. Else uv resolves all.

    Args:
        lines: of a requirements file.
        python: version they are for.
        root: of the source, whose own package is in the tree.

    Raises:
        CaptureError: nothing satisfies them, or a line means a file of another machine.
    """
    own = _own_name(root)
    found = [_pinned(line, own) for line in lines]
    if None in found:
        found = [_pinned(line, own) for line in _resolved(lines, python, root)]
    by_name = {one.name: one for one in found if one}
    return tuple(by_name[name] for name in sorted(by_name))


def _pinned(line: str, own: str | None) -> Distribution | None:
    try:
        requirement = Requirement(line)
    except InvalidRequirement:
        return None
    name = canonicalize_name(requirement.name)
    specifiers = list(requirement.specifier)
    if requirement.url:
        return _by_url(name, requirement.url)
    if requirement.marker or len(specifiers) != 1 or specifiers[0].operator not in ("==", "==="):
        return None
    version = specifiers[0].version
    if version.endswith(".*"):
        return None
    if name == own:
        return Distribution(name=name, version=version, origin="source", url=".")
    return Distribution(name=name, version=version)


def _by_url(name: str, url: str) -> Distribution:
    if url.startswith(("file:", "/", ".")):
        raise CaptureError(f"{name} was installed from {url}, a folder or file of another machine", do="Publish it")
    clean = without_credentials(url)
    version = re.search(r"-([0-9][^-/]*)-[^/]*\.whl", clean)
    vcs = clean.startswith(("git+", "hg+", "svn+", "bzr+"))
    return Distribution(name=name, version=version[1] if version else "0", origin="vcs" if vcs else "url", url=clean)


def _resolved(lines: Iterable[str], python: str, root: Path) -> list[str]:
    import uv

    index = load_settings().package_index
    command = [uv.find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--no-config"]
    command += ["--python-version", python, *(("--default-index", index) if index else ()), "-"]
    try:
        done = subprocess.run(
            command, input="\n".join(lines), cwd=root, capture_output=True, text=True, check=False, timeout=_LIMIT_S
        )
    except subprocess.TimeoutExpired as error:
        raise CaptureError(f"uv did not resolve the requirements in {_LIMIT_S} seconds") from error
    if done.returncode:
        raise CaptureError(
            f"nothing satisfies the requirements: {' '.join(done.stderr.split())[-600:]}",
            do="Mend them, or give the project a Dockerfile",
        )
    return requirement_lines(done.stdout)


def _own_name(root: Path) -> str | None:
    """The package that the source itself is."""
    file = root / "pyproject.toml"
    if not file.is_file():
        return None
    try:
        project = tomllib.loads(file.read_text(errors="replace")).get("project")
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{file} is no TOML: {error}", do="Mend it") from error
    name = cast("dict[str, object]", project).get("name") if isinstance(project, dict) else None
    return canonicalize_name(name) if isinstance(name, str) else None
