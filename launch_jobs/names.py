"""Names and digests: how jobs, queues, images and attempts are called, and how content is hashed."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

from launch_jobs.errors import BadInput

# A program waits for whatever is imported here (see `launch_jobs.capture.tracked`).
if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, JsonValue
    from pydantic_core import CoreSchema


class _Pattern:
    """A text that a pattern matches, in a model's field: pydantic's `StringConstraints`, without importing it."""

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern

    def __get_pydantic_core_schema__(self, _source: object, _handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core.core_schema import str_schema

        return str_schema(pattern=self.pattern)


Digest = Annotated[str, _Pattern(r"^sha256:[0-9a-f]{64}$")]
"""A SHA-256 in the OCI form `sha256:<64 lower-case hex digits>`."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ATTEMPT = re.compile(r"lj-([0-9a-f]{32})-a([1-9][0-9]{0,8})")
_VERSION = re.compile(r"v(0|[1-9][0-9]{0,8})")
_REFERENCE = re.compile(
    r"""(?P<repository>
            (?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?=[:/])|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]{1,5})?/)?
            [a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*)
        (?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?
        (?:@(?P<digest>sha256:[0-9a-f]{64}))?""",
    re.VERBOSE,
)


def canonical_json(value: JsonValue) -> bytes:
    """The one byte form of a JSON value: sorted keys, no white space, UTF-8, no NaN (RFC 8785 in spirit)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def sha256(data: bytes) -> Digest:
    """The digest of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def digest_of(value: JsonValue) -> Digest:
    """The digest of a JSON value in its canonical form."""
    return sha256(canonical_json(value))


def check_name(kind: str, name: str) -> str:
    """Return `name` if it can name a job, queue or alias; `kind` is the word the error uses.

    Raises:
        BadInput: not 1 to 63 characters of a-z, 0-9, `.`, `_`, `-`, or it begins or ends with a sign.
    """
    if not _NAME.fullmatch(name):
        raise BadInput(
            f"{name!r} cannot name a {kind}", do="Use 1-63 of a-z 0-9 . _ - , a letter or digit at both ends"
        )
    return name


def slug(text: str) -> str:
    """The nearest valid job name to any text, such as a script's stem (`Train Digits` → `train-digits`)."""
    cleaned = re.sub(r"[^a-z0-9._-]+", "-", text.lower())[:63].strip("._-")
    return cleaned or "job"


def is_version(text: str) -> bool:
    """Whether `text` is a version such as `v0` or `v12` (an alias must not look like one)."""
    return bool(_VERSION.fullmatch(text))


@dataclass(frozen=True, slots=True)
class JobRef:
    """A reference to a job version: `name`, `name:v3`, `name:alias` or `name@sha256:…`.

    Attributes:
        name: the job's name.
        selector: a version (`v3`), an alias (`latest`) or a digest (`sha256:…`).
    """

    name: str
    selector: str = "latest"

    @classmethod
    def parse(cls, text: str) -> JobRef:
        """Read a reference as a user writes it.

        Raises:
            BadInput: the text is not one of the four forms.
        """
        name, at, digest = text.partition("@")
        if at:
            if not _DIGEST.fullmatch(digest):
                raise BadInput(f"{text!r} is no job reference", do="Write name@sha256:<64 hex digits>")
            return cls(check_name("job", name), digest)
        name, colon, selector = text.partition(":")
        if not colon:
            return cls(check_name("job", name))
        if not is_version(selector):
            check_name("job alias", selector)
        return cls(check_name("job", name), selector)

    @property
    def is_digest(self) -> bool:
        """Whether this reference names content, so that it can never move."""
        return self.selector.startswith("sha256:")

    def __str__(self) -> str:
        return f"{self.name}{'@' if self.is_digest else ':'}{self.selector}"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """An image reference: `[registry/]repository[:tag][@digest]`, by the grammar of OCI distribution.

    Attributes:
        repository: with its registry, as written.
        tag: empty if there is a digest only; `latest` if there is neither.
        digest: `sha256:…` or empty.
    """

    repository: str
    tag: str = "latest"
    digest: str = ""

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Read a reference as a user writes it.

        Raises:
            BadInput: it is none.
        """
        match = _REFERENCE.fullmatch(text) if len(text) <= 255 else None
        if not match:
            raise BadInput(
                f"{text[:80]!r} is no image reference", do="Write [registry/]name[:tag][@sha256:…] in lower case"
            )
        digest = match["digest"] or ""
        return cls(match["repository"], match["tag"] or ("" if digest else "latest"), digest)

    @property
    def familiar(self) -> str:
        """The repository as an engine lists it: without Docker Hub's own prefix."""
        return self.repository.removeprefix("docker.io/").removeprefix("library/")

    def __str__(self) -> str:
        return self.repository + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")


def attempt_name(run_id: str, attempt: int) -> str:
    """The deterministic name of one attempt's container, folder or Kubernetes object: `lj-<run>-a<attempt>`.

    The whole run id is used: Prefect's ids begin with a time stamp, so a prefix would collide.
    """
    return f"lj-{run_id.replace('-', '')}-a{attempt}"


def attempt_of(name: str) -> tuple[str, int] | None:
    """Run id and attempt that an `attempt_name` tells; None for another name."""
    found = _ATTEMPT.fullmatch(name)
    return (str(UUID(found[1])), int(found[2])) if found else None
