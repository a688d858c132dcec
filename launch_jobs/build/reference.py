"""Image references as OCI names them: one parser, so that no odd text reaches a Dockerfile or an engine."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launch_jobs.errors import BadInput

_REFERENCE = re.compile(
    r"""(?P<repository>
            (?:(?:localhost|[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?=[:/])|[A-Za-z0-9-]+(?=:[0-9]))(?::[0-9]{1,5})?/)?
            [a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|__?|-+)[a-z0-9]+)*)*)
        (?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?
        (?:@(?P<digest>sha256:[0-9a-f]{64}))?""",
    re.VERBOSE,
)


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
