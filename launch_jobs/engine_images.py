"""Images of an engine, and of the registries that it reaches: inspect, pull, push, ask for a digest.

A registry is asked through the engine (its distribution call), not by an HTTP client of ours: it is the engine that
pulls and pushes, perhaps on another machine, with its own certificates, insecure registries, mirrors and proxies. What
it does not reach, no run can use.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager, suppress

from pydantic import BaseModel, Field, ValidationError

from launch_jobs.engine import Engine, EngineRefused, errors
from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import Digest, ImageRef

Auth = Mapping[str, str] | None
"""A registry account as `Login.auth_config` says it; None: the docker configuration's."""

_FALSE = re.compile(r"verification failed|digest mismatch|unexpected commit digest|failed commit|content digest")
_ABSENT = re.compile(r"manifest unknown|name unknown|not found")
_DENIED = re.compile(r"unauthorized|no basic auth|denied|forbidden", re.IGNORECASE)
_AWAY = re.compile(
    r"connection re(fused|set)|broken pipe|time(d )?out|deadline exceeded|\bEOF\b|no such host|server misbehaving"
    r"|no route to host|unreachable|too ?many ?requests|unavailable|(status|HTTP)\b.{0,200} (5\d\d|429)\b",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"^Docker Engine( refuses| is not ready)?: ")


class _Config(BaseModel):
    labels: dict[str, str] | None = Field(default=None, alias="Labels")
    entrypoint: list[str] | None = Field(default=None, alias="Entrypoint")
    command: list[str] | None = Field(default=None, alias="Cmd")


class EngineImage(BaseModel):
    """An image that an engine has."""

    id: Digest = Field(alias="Id")
    system: str = Field(default="linux", alias="Os")
    architecture: str = Field(default="", alias="Architecture")
    repo_digests: list[str] | None = Field(default=None, alias="RepoDigests")
    config: _Config | None = Field(default=None, alias="Config")

    def digest_in(self, repository: str) -> Digest | None:
        """What the registry of a repository (as `ImageRef.familiar` says it) called this image."""
        known = dict(entry.rsplit("@", 1) for entry in self.repo_digests or () if "@" in entry)
        return known.get(repository)

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return (self.config and self.config.labels) or {}

    @property
    def argv(self) -> tuple[str, ...]:
        """What it runs: its entrypoint, then its command."""
        config = self.config or _Config()
        return (*(config.entrypoint or ()), *(config.command or ()))


class Platform(BaseModel):
    """A platform that a registry has an image for."""

    os: str = ""


class Distribution(BaseModel):
    """What a registry says of a reference."""

    class _Descriptor(BaseModel):
        digest: Digest

    descriptor: _Descriptor = Field(alias="Descriptor")
    platforms: list[Platform] | None = Field(default=None, alias="Platforms")


def inspect_image(engine: Engine, reference: str) -> EngineImage | None:
    """An image that the engine has, or None."""
    with suppress(NotFound), errors():
        return EngineImage.model_validate(engine.inspect_image(reference))
    return None


def ask_registry(engine: Engine, reference: ImageRef, auth: Auth) -> Distribution | None:
    """What the registry has under a reference; None if it has nothing there.

    Raises:
        Refused: the account may not.
        Unavailable: it does not answer.
    """
    try:
        with registry_errors(reference), errors():
            return Distribution.model_validate(engine.inspect_distribution(str(reference), auth_config=auth))
    except NotFound:
        return None
    except ValidationError as error:
        first = error.errors()[0]["msg"]
        raise Refused(f"The registry makes no sense about {reference}: {first}", do="Check its address") from error


def pull_image(engine: Engine, reference: ImageRef, auth: Auth, go_on: Callable[[], bool]) -> None:
    """Pull an image; by a digest, the engine takes only what has it.

    Args:
        engine: pulls.
        reference: what.
        auth: with which account.
        go_on: asked at each step; False ends it.

    Raises:
        NotFound: the registry does not have it.
        Refused: the account may not, or the registry gives other content than the digest says.
        Unavailable: it does not answer.
    """
    with registry_errors(reference), errors():
        tag = reference.digest or reference.tag
        steps = engine.pull(reference.familiar, tag, stream=True, auth_config=auth, decode=True)
        checked(steps, go_on)


def push_image(engine: Engine, reference: ImageRef, auth: Auth, go_on: Callable[[], bool]) -> Digest:
    """Push a tag; the digest is the engine's own, of the manifest that it sent.

    Args:
        engine: pushes.
        reference: a tag of it.
        auth: with which account.
        go_on: asked at each step; False ends it.

    Raises:
        Refused: the account may not.
        Unavailable: the registry does not answer.
    """
    with registry_errors(reference), errors():
        steps = engine.push(reference.familiar, reference.tag, stream=True, auth_config=auth, decode=True)
        told = [step["aux"] for step in checked(steps, go_on)]
        digests = [str(each["Digest"]) for each in told if isinstance(each, dict) and "Digest" in each]
        if not digests:
            raise Unavailable(f"{reference} was not pushed to its end", do="Try again")
        return digests[-1]


def checked(steps: Iterator[JsonObject], go_on: Callable[[], bool]) -> list[JsonObject]:
    """Read a pull or push to its end, which gives the connection back; what it told besides its progress.

    Args:
        steps: the engine's stream.
        go_on: asked at each step; False ends it.

    Raises:
        EngineRefused: a step went wrong; in the engine's words.
    """
    told: list[JsonObject] = []
    failed = ""
    for step in steps:
        if "aux" in step:
            told.append(step)
        failed = failed or str(step.get("error", ""))
        if not go_on():
            break
    if failed:
        raise EngineRefused(failed)
    return told


@contextmanager
def registry_errors(reference: ImageRef) -> Generator[None]:
    """Tell a registry that is away from one that says no, and from one that lies: the engine has one error for all."""
    try:
        yield
    except EngineRefused as error:
        raise _classified(reference, _PREFIX.sub("", error.what)) from error


def _classified(reference: ImageRef, said: str) -> LaunchError:
    what = f"{reference}: {said[:300]}"
    if _FALSE.search(said):
        return Refused(
            f"The registry gives other content than the digest names; {what}", do="Ask who runs it; nothing was run"
        )
    if _ABSENT.search(said):
        return NotFound(f"The registry does not have it; {what}")
    if _DENIED.search(said):
        do = "Mend the account (Registry block, or `docker login`); some say so of an image that is not there"
        return Refused(f"The registry refuses; {what}", do=do)
    if _AWAY.search(said):
        return Unavailable(f"The registry does not answer; {what}", do="Start it, or check its address, and try again")
    return BadInput(f"The registry cannot be used; {what}", do="Check its address and the Docker Engine's settings")
