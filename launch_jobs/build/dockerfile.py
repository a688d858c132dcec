"""The text of Dockerfiles. Pure; nothing of a job's metadata can add an instruction of its own."""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterable, Mapping

from launch_jobs.errors import BadInput
from launch_jobs.job import Entrypoint

USER = "1000:1000"
ROOT = "/workspace"
HOME = "/opt/launch"
COPY_FILES = f"COPY launch/ {HOME}/"
CACHE = "--mount=type=cache,id=launch-jobs,target=/var/cache/launch"
CERTIFICATES = f"{HOME}/ca-bundle.pem"
CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "GIT_SSL_CAINFO")

_DIRECTIVE = re.compile(r"^\s*(?:#|//)\s*(?P<name>syntax|escape|check)\s*=\s*(?P<value>.*?)\s*$", re.IGNORECASE)
_FROM = re.compile(
    r"^\s*FROM\s+(?:--platform=\S+\s+)?(?P<image>\S+)(?:\s+AS\s+(?P<stage>\S+))?\s*$", re.IGNORECASE | re.MULTILINE
)
_ARG = re.compile(r"^\s*ARG\s+(?P<name>\w+)=(?P<value>\S+)\s*$", re.IGNORECASE | re.MULTILINE)
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?::?-([^}]*))?\})")
_CONTINUED = re.compile(r"\\[ \t]*\r?\n")
_OFFICIAL = re.compile(r"(?:docker\.io/)?docker/dockerfile(?::[0-9A-Za-z.-]+)?(?:@sha256:[0-9a-f]{64})?")
_MOUNT = re.compile(r"^(?P<run>\s*RUN)(?P<options>(?:\s+--[a-z]+=\S+)+)", re.IGNORECASE | re.MULTILINE)


def environment_lines(base: str, install: Iterable[str], *, certificates: bool) -> list[str]:
    """An image with the job's Python environment in it; `install` are the arguments of install.sh."""
    command = json.dumps(["sh", f"{HOME}/install.sh", *install])
    return [
        f"FROM {base}",
        "USER 0:0",
        COPY_FILES,
        *(certificate_lines() if certificates else ()),
        f"RUN {CACHE} {command}",
        f"ENV VIRTUAL_ENV={HOME}/venv PATH={HOME}/venv/bin:$PATH",
    ]


def certificate_lines() -> list[str]:
    """Trust launch/ca.pem besides what the base image trusts."""
    store = "/etc/ssl/certs/ca-certificates.crt"
    return [
        f"RUN cat {store} {HOME}/ca.pem > {CERTIFICATES} 2>/dev/null || cp {HOME}/ca.pem {CERTIFICATES}",
        "ENV " + " ".join(f"{name}={CERTIFICATES}" for name in CERTIFICATE_VARIABLES),
    ]


def job_lines(entrypoint: Entrypoint) -> list[str]:
    """What puts the source tree and the command on top of an image."""
    return [
        f"COPY --chown={USER} source/ {ROOT}/",
        f"WORKDIR {escape(workdir(entrypoint))}",
        # A home for a user without one: caches must be writable, and getpass must know a name.
        "ENV HOME=/tmp USER=launch PYTHONUNBUFFERED=1",
        f"USER {USER}",
        *command_lines(entrypoint),
    ]


def own_lines(text: str, entrypoint: Entrypoint) -> list[str]:
    """The job's own Dockerfile, ended by the job's working directory (within its own) and command."""
    directory = posixpath.relpath(workdir(entrypoint), ROOT)
    inner = [f"WORKDIR {escape(directory)}"] if directory != "." else []
    return [text.rstrip("\n"), *inner, *command_lines(entrypoint)]


def command_lines(entrypoint: Entrypoint) -> list[str]:
    """The command in its JSON form: no shell reads it, and Docker substitutes nothing in it."""
    return ["ENTRYPOINT []", f"CMD {json.dumps(list(entrypoint.argv))}"]


def label_lines(labels: Mapping[str, str]) -> list[str]:
    """One instruction with all labels; names and values are ours, so nothing needs an escape."""
    return ["LABEL " + " ".join(f'{name}="{value}"' for name, value in labels.items())]


def text_of(lines: Iterable[str]) -> str:
    """Lines as a file."""
    return "\n".join(lines) + "\n"


def workdir(entrypoint: Entrypoint) -> str:
    """The program's absolute working directory.

    Raises:
        BadInput: it lies outside the source tree or holds control characters.
    """
    path = posixpath.normpath(posixpath.join(ROOT, entrypoint.directory))
    if not path.isprintable() or path != path.strip() or posixpath.commonpath([ROOT, path]) != ROOT:
        raise BadInput(f"working directory {entrypoint.directory[:80]!r} is not inside the source tree")
    return path


def escape(word: str) -> str:
    """A path as one word of an instruction in which Docker substitutes variables and takes quotes away."""
    return re.sub(r"([\\$\"' ])", r"\\\1", word)


def check_own(text: str) -> str:
    """Return a user's Dockerfile if we may build it.

    Raises:
        BadInput: it names a foreign frontend (`# syntax=`), which is an image run by the builder; or another escape
            character than ours, so that our last lines could be misread; or it ends in an unfinished line.
    """
    for line in text.removeprefix("\ufeff").splitlines():
        if line.strip() and not line.lstrip().startswith(("#", "//")):
            break
        _check_directive(line)
    if text.rstrip().endswith("\\"):
        raise BadInput("the Dockerfile ends in an unfinished line", do="Remove its last backslash")
    return text


def base_of(text: str) -> str | None:
    """The image that a Dockerfile's last stage comes from, through earlier stages and defaults of ARG; None: no FROM.

    Raises:
        BadInput: it is named by a variable without a default.
    """
    stages: dict[str, str] = {}
    text = _CONTINUED.sub(" ", text)
    head = text[: first.start()] if (first := _FROM.search(text)) else ""
    arguments = {match["name"]: match["value"].strip("\"'") for match in _ARG.finditer(head)}
    image: str | None = None
    for match in _FROM.finditer(text):
        image = _substitute(match["image"], arguments)
        image = stages.get(image.lower(), image)
        if match["stage"]:
            stages[match["stage"].lower()] = image
    return image


def without_buildkit(text: str) -> str:
    """The same Dockerfile for the classic builder: without cache mounts.

    Raises:
        BadInput: it mounts something that cannot be left out, such as a secret.
    """

    def strip(match: re.Match[str]) -> str:
        foreign = [word for word in match["options"].split() if not word.startswith("--mount=type=cache,")]
        if foreign:
            raise BadInput(f"{foreign[0].split(',')[0]} needs BuildKit, which this engine's client has not")
        return match["run"]

    return _MOUNT.sub(strip, text)


def _check_directive(line: str) -> None:
    match = _DIRECTIVE.match(line)
    name, value = (match["name"].lower(), match["value"]) if match else ("", "")
    if name == "syntax" and not _OFFICIAL.fullmatch(value):
        raise BadInput(f"the Dockerfile's frontend {value[:80]!r} is not Docker's own", do="Remove its syntax line")
    if name == "escape" and value != "\\":
        raise BadInput("the Dockerfile changes the escape character", do="Remove its escape line")


def _substitute(word: str, arguments: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        found = arguments.get(name, match[3])
        if not found:
            raise BadInput(f"the Dockerfile's base image is named by {name}, which has no default", do="Give it one")
        return found

    return _VARIABLE.sub(value, word)
