"""A job's Python packages as pip's and uv's words: exact versions and direct references, nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from urllib.parse import quote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from launch_jobs.errors import BadInput
from launch_jobs.job import Distribution, Environment

_URL = re.compile(r"(?:https?|git\+https?|git\+ssh)://[A-Za-z0-9._~:/?#\[\]@!&()*+,=%-]+")
_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_WHEEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.!+-]*\.whl")
_REQUESTS = {
    "cpython": "{}",
    "cpython+freethreaded": "{}+freethreaded",
    "pypy": "pypy@{}",
    "graalpy": "graalpy@{}",
}
"""How uv is asked for each implementation."""

INDEX_LINE = "--index-url "
"""How a requirements file for another index than the default begins."""

WHEELS = "/opt/launch/wheels"
"""Where an image that is built has the carried wheels."""

_POINT = re.compile(r"(?P<name>[A-Za-z0-9][\w.-]*)\s*=\s*(?P<module>[\w.]+)\s*:\s*(?P<call>[\w.]+)(?:\s*\[.*\])?")
# A shell's command and a Python text at once, so that it holds wherever the environment is.
_SCRIPT = """#!/bin/sh
'''exec' "$(dirname "$0")/python" "$0" "$@"
' '''
import sys
from {module} import {first}
sys.exit({call}())
"""

_PYTHON = re.compile(r"[0-9]+\.[0-9]+(?:\.[0-9]+)?(?:(?:a|b|rc)[0-9]+)?\+?")


def python_version(environment: Environment) -> str:
    """The exact Python version that the environment asks for.

    Raises:
        BadInput: it is no version, or the environment is not a Python one.
    """
    version = environment.python or ""
    if not _PYTHON.fullmatch(version):
        raise BadInput(f"{version!r} is no Python version", do="Write it as 3.11.7")
    return version.rstrip("+")


def minor_version(version: str) -> str:
    """`3.11` of `3.11.7`."""
    return ".".join(version.split(".")[:2])


def python_request(environment: Environment) -> str:
    """The interpreter in uv's words: exact version, and the implementation where it is not the usual one.

    Raises:
        BadInput: the version is none, or the implementation is none that uv knows.
    """
    version, implementation = python_version(environment), environment.implementation
    if implementation not in _REQUESTS:
        raise BadInput(
            f"Python {version} is {implementation[:40]!r}, which no builder can provide",
            do=f"Capture with one of: {', '.join(_REQUESTS)}",
        )
    return _REQUESTS[implementation].format(version)


def minor_request(environment: Environment) -> str:
    """The interpreter in uv's words, of any patch version."""
    return _REQUESTS[environment.implementation].format(minor_version(python_version(environment)))


def lock(environment: Environment, wheels: str = WHEELS) -> str:
    """The text of a requirements file with every package but the source tree's own; a line each, sorted by name.

    Args:
        environment: of a job.
        wheels: absolute folder of the carried wheels.

    Raises:
        BadInput: a name, version or URL is malformed, is a local file, or carries a credential.
    """
    return _text(environment.distributions, wheels)


def locks(environment: Environment, *, package_index: str | None, wheels: str = WHEELS) -> dict[str, str]:
    """Requirements files by name, one for each index: a package is looked for in its own and in no other.

    Args:
        environment: of a job.
        package_index: the queue's only index, which has every package; None: each package's own.
        wheels: absolute folder of the carried wheels.

    Raises:
        BadInput: as `lock`; or an index cannot stand in a build's words.
    """
    if package_index:
        return {"requirements.lock": lock(environment, wheels)}
    files = {"requirements.lock": _text((d for d in environment.distributions if not d.index), wheels)}
    for number, url in enumerate(sorted({d.index for d in environment.distributions if d.index}), 1):
        text = _text((d for d in environment.distributions if d.index == url), wheels)
        files[f"requirements-{number}.lock"] = f"{INDEX_LINE}{check_url('package index', url)}\n{text}"
    return files


def source_paths(environment: Environment) -> tuple[str, ...]:
    """Folders relative to the source root that Python must find modules in: PYTHONPATH's, then its packages'.

    Of a package both layouts are named, `src` first: a folder that does not exist is ignored by Python.
    """
    named = [_inside("PYTHONPATH", path) for path in environment.search_path]
    folders = [_inside(f"package {d.name}", d.url) for d in environment.distributions if d.origin == "source"]
    return tuple(dict.fromkeys([*named, *(path for folder in folders for path in (_under(folder, "src"), folder))]))


def source_metadata(environment: Environment) -> dict[str, str]:
    """Files of a site-packages folder that let `importlib.metadata` know the source tree's own packages."""
    files: dict[str, str] = {}
    for found in environment.distributions:
        if found.origin == "source":
            name, version = _checked(found)
            folder = f"{name.replace('-', '_')}-{version}.dist-info"
            files[f"{folder}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            files[f"{folder}/INSTALLER"] = "launch-jobs\n"
            if found.entry_points:
                files[f"{folder}/entry_points.txt"] = found.entry_points
    return files


def source_scripts(environment: Environment) -> dict[str, str]:
    """Console scripts of the source tree's own packages, by name, for the folder that has the `python` they run on."""
    points = (
        point
        for found in environment.distributions
        if found.origin == "source" and found.entry_points
        for point in _console_scripts(found.entry_points)
    )
    return {name: _SCRIPT.format(module=module, call=call, first=call.split(".")[0]) for name, module, call in points}


def _console_scripts(text: str) -> Iterator[tuple[str, str, str]]:
    """Name, module and what is called in it; a line that is none is left out: nothing of it may become code."""
    section = ""
    for line in text.splitlines():
        if line.strip().startswith("["):
            section = line.strip()
        elif section == "[console_scripts]" and (point := _POINT.fullmatch(line.strip())):
            yield point["name"], point["module"], point["call"]


def check_url(kind: str, url: str) -> str:
    """Return `url` if it is one that can stand in a build's words.

    Raises:
        BadInput: another scheme or odd characters, or a credential in it, which would stay in the image.
    """
    if not _URL.fullmatch(url):
        raise BadInput(f"{kind} {url[:80]!r} cannot be used in a build", do="Use an https or git+https URL")
    host = urlsplit(url.removeprefix("git+")).netloc
    user = host.rpartition("@")[0]
    if user and not (url.startswith("git+ssh://") and ":" not in user):
        raise BadInput(
            f"{kind} at {host.rpartition('@')[2]} has a credential in its URL, which would stay in the image",
            do="Take it out of the URL",
        )
    return url


def _text(distributions: Iterable[Distribution], wheels: str) -> str:
    lines = [_line(d, wheels) for d in sorted(distributions, key=lambda d: d.name) if d.origin != "source"]
    return "".join(line + "\n" for line in lines)


def _line(distribution: Distribution, wheels: str) -> str:
    name, version = _checked(distribution)
    if bad := [one for one in distribution.hashes if not _HASH.fullmatch(one)]:
        raise BadInput(f"package {name} has the hash {bad[0][:80]!r}, which is none", do="Write it as sha256:…")
    if distribution.origin == "index":
        return " ".join([f"{name}=={version}", *(f"--hash={one}" for one in distribution.hashes)])
    if distribution.origin == "wheel":
        file = distribution.url or ""
        if not _WHEEL.fullmatch(file):
            raise BadInput(f"package {name} has the file {file[:80]!r}, which is no wheel")
        return f"{name} @ file://{quote(wheels)}/{quote(file)}"
    return f"{name} @ {check_url(f'package {name}', distribution.url or '')}"


def _checked(distribution: Distribution) -> tuple[str, str]:
    """Name and normalised version: both are then free of anything that a file could misread."""
    try:
        name, version = Requirement(distribution.name).name, str(Version(distribution.version))
    except (InvalidRequirement, InvalidVersion) as error:
        raise BadInput(
            f"{distribution.name[:60]!r} {distribution.version[:60]!r} is no package and version", do="See PEP 440"
        ) from error
    if name != distribution.name:
        raise BadInput(f"{distribution.name[:60]!r} is no package name", do="Name it without extras or markers")
    return name, version


def _inside(what: str, folder: str | None) -> str:
    path = PurePosixPath(folder or ".")
    if path.is_absolute() or ".." in path.parts or not str(path).isprintable():
        raise BadInput(f"{what} is outside the source tree: {str(path)[:80]!r}")
    return str(path)


def _under(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
