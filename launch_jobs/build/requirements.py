"""A job's Python packages as pip's and uv's words: exact versions and direct references, nothing else."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import InvalidVersion, Version

from launch_jobs.errors import BadInput
from launch_jobs.job import Distribution, Environment

_URL = re.compile(r"(?:https?|git\+https?|git\+ssh)://[A-Za-z0-9._~:/?#\[\]@!&()*+,=%-]+")
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


def lock(environment: Environment) -> str:
    """The text of a requirements file with every package but the source tree's own; a line each, sorted by name.

    Raises:
        BadInput: a name, version or URL is malformed, is a local file, or carries a credential.
    """
    lines = [_line(d) for d in sorted(environment.distributions, key=lambda d: d.name) if d.origin != "source"]
    return "".join(line + "\n" for line in lines)


def source_paths(environment: Environment) -> tuple[str, ...]:
    """Folders relative to the source root that Python must find modules in, for packages that live in the tree.

    Both layouts are named, `src` first: a folder that does not exist is ignored by Python.
    """
    folders = [_inside(d) for d in environment.distributions if d.origin == "source"]
    return tuple(dict.fromkeys(path for folder in folders for path in (_under(folder, "src"), folder)))


def source_metadata(environment: Environment) -> dict[str, str]:
    """Files of a site-packages folder that let `importlib.metadata` know the source tree's own packages."""
    files: dict[str, str] = {}
    for found in environment.distributions:
        if found.origin == "source":
            name, version = _checked(found)
            folder = f"{name.replace('-', '_')}-{version}.dist-info"
            files[f"{folder}/METADATA"] = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
            files[f"{folder}/INSTALLER"] = "launch-jobs\n"
    return files


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


def _line(distribution: Distribution) -> str:
    name, version = _checked(distribution)
    if distribution.origin == "index":
        return f"{name}=={version}"
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


def _inside(distribution: Distribution) -> str:
    path = PurePosixPath(distribution.url or ".")
    if path.is_absolute() or ".." in path.parts or not str(path).isprintable():
        raise BadInput(f"package {distribution.name} is outside the source tree: {str(path)[:80]!r}")
    return str(path)


def _under(folder: str, name: str) -> str:
    return name if folder == "." else f"{folder}/{name}"
