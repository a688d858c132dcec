"""A registry asked directly, by the OCI distribution API: what a reference is now. No engine has a part in it."""

from __future__ import annotations

import base64
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httpx

from launch_jobs.build.kubernetes_manifest import host_of
from launch_jobs.errors import BadInput, LaunchError, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.names import Digest, ImageRef, sha256

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from launch_jobs.engine import Login

_OCI, _DOCKER = "application/vnd.oci.image", "application/vnd.docker.distribution"
_INDEXES = (f"{_OCI}.index.v1+json", f"{_DOCKER}.manifest.list.v2+json")
_MANIFESTS = (f"{_OCI}.manifest.v1+json", f"{_DOCKER}.manifest.v2+json")
_PAIR = re.compile(r'(\w+)="([^"]*)"')
_TIMEOUT_S = 30.0
_LARGEST = 4 << 20


@dataclass(frozen=True, slots=True)
class RemoteImage:
    """What a registry has under a reference.

    Attributes:
        digest: of what the reference names, an image or a list of images.
        platform: of the image, e.g. `linux/amd64`.
        labels: of the image.
    """

    digest: Digest
    platform: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


class OciRegistry:
    """Asks registries.

    Args:
        logins: accounts, each for its own registry only.
        plain_http: registries (host:port) that speak HTTP without TLS; those on loopback do.
        certificates: PEM, trusted besides this host's own.
    """

    def __init__(
        self, logins: Iterable[Login] = (), *, plain_http: Iterable[str] = (), certificates: str | None = None
    ) -> None:
        self._logins = {host_of(one.registry): one for one in logins}
        self._plain = frozenset(plain_http)
        self._certificates = certificates

    async def look(self, reference: ImageRef, platform: str) -> RemoteImage | None:
        """What it has under a reference for a platform; None if nothing.

        Raises:
            BadInput: what is there is for other platforms, or is no image.
            Refused: the account may not, or the content is not what its digest says.
            Unavailable: it does not answer.
        """
        async with self._asked(reference) as asked:
            told = await asked.manifest(reference.digest or reference.tag)
            if told is None:
                return None
            digest, manifest = told
            if _kind(manifest) in _INDEXES or "manifests" in manifest:
                chosen = _chosen(manifest, platform, reference)
                _, manifest = await asked.manifest(chosen) or (chosen, {})
            return await asked.image(digest, manifest, platform)

    @asynccontextmanager
    async def _asked(self, reference: ImageRef) -> AsyncGenerator[_Repository]:
        host, path = _split(reference.repository)
        scheme = "http" if host in self._plain or host.split(":")[0] in {"localhost", "127.0.0.1"} else "https"
        base = f"{scheme}://{'registry-1.docker.io' if host == 'docker.io' else host}/v2/{path}"
        trust = ssl.create_default_context()
        if self._certificates:
            trust.load_verify_locations(cadata=self._certificates)
        try:
            async with httpx.AsyncClient(verify=trust, timeout=_TIMEOUT_S, follow_redirects=True) as client:
                yield _Repository(client, base, reference, self._logins.get(host))
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            raise Unavailable(f"The registry does not answer; {reference}: {said}", do="Try again") from error
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(f"The registry makes no sense about {reference}: {error}", do="Check its address") from error


class _Repository:
    def __init__(self, client: httpx.AsyncClient, base: str, reference: ImageRef, login: Login | None) -> None:
        self._client, self._base, self._reference, self._login = client, base, reference, login
        self._authorization = ""

    async def manifest(self, name: str) -> tuple[Digest, JsonObject] | None:
        """A manifest or list by tag or digest, with its digest."""
        body = await self._get(f"manifests/{name}", ", ".join((*_MANIFESTS, *_INDEXES)))
        if body is None:
            return None
        digest = sha256(body)
        self._check(name, digest)
        return digest, cast("JsonObject", json.loads(body))

    async def image(self, digest: Digest, manifest: JsonObject, platform: str) -> RemoteImage:
        """What an image's own configuration says."""
        named = str(cast("JsonObject", manifest["config"])["digest"])
        body = await self._get(f"blobs/{named}", "*/*") or b"{}"
        self._check(named, sha256(body))
        config = cast("JsonObject", json.loads(body))
        found = f"{config.get('os') or 'linux'}/{config.get('architecture') or platform.partition('/')[2]}"
        if found != platform:
            raise BadInput(f"{self._reference} is for {found}, not for {platform}", do="Name another image")
        labels = cast("JsonObject", config.get("config") or {}).get("Labels") or {}
        return RemoteImage(digest, found, cast("dict[str, str]", labels))

    def _check(self, name: str, digest: Digest) -> None:
        if name.startswith("sha256:") and name != digest:
            raise Refused(
                f"The registry gives other content than the digest names; {self._reference}: {name} is {digest}",
                do="Ask who runs it; nothing was run",
            )

    async def _get(self, path: str, accept: str) -> bytes | None:
        """The content at a path; None: it is not there."""
        answer = await self._ask(path, accept)
        if answer.status_code == HTTPStatus.UNAUTHORIZED:
            self._authorization = await self._authorized(answer.headers.get("WWW-Authenticate", ""))
            answer = await self._ask(path, accept)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        if answer.status_code != HTTPStatus.OK:
            raise _error(self._reference, answer)
        if len(answer.content) > _LARGEST:
            raise Refused(f"The registry gives far too much for {self._reference}")
        return answer.content

    async def _ask(self, path: str, accept: str) -> httpx.Response:
        headers = {"Accept": accept} | ({"Authorization": self._authorization} if self._authorization else {})
        return await self._client.get(f"{self._base}/{path}", headers=headers)

    async def _authorized(self, challenge: str) -> str:
        """What the registry wants to see: the account itself, or a token that its account gets elsewhere."""
        if challenge[:6].lower() == "basic ":
            return self._basic
        told = dict(_PAIR.findall(challenge))
        asked = {name: told[name] for name in ("service", "scope") if name in told}
        headers = {"Authorization": self._basic} if self._login else {}
        answer = await self._client.get(told["realm"], params=asked, headers=headers)
        if answer.status_code != HTTPStatus.OK:
            raise _error(self._reference, answer)
        tokens = cast("dict[str, str]", answer.json())
        return f"Bearer {tokens.get('token') or tokens['access_token']}"

    @property
    def _basic(self) -> str:
        if self._login is None:
            raise Refused(
                f"The registry refuses; {self._reference}: it wants an account", do="Give the Registry block one"
            )
        account = f"{self._login.username}:{self._login.password}".encode()
        return f"Basic {base64.b64encode(account).decode()}"


def _split(repository: str) -> tuple[str, str]:
    """Host and path, as Docker reads a name without a host."""
    host, slash, path = repository.partition("/")
    if slash and (host == "localhost" or set(host) & {".", ":"}):
        found, rest = host_of(host), path
    else:
        found, rest = "docker.io", repository
    return found, f"library/{rest}" if found == "docker.io" and "/" not in rest else rest


def _kind(manifest: JsonObject) -> str:
    return str(manifest.get("mediaType", ""))


def _chosen(index: JsonObject, platform: str, reference: ImageRef) -> str:
    entries = [one for one in cast("list[JsonObject]", index.get("manifests") or []) if one.get("platform")]
    for one in entries:
        about = cast("JsonObject", one["platform"])
        if f"{about.get('os')}/{about.get('architecture')}" == platform:
            return str(one["digest"])
    raise BadInput(f"{reference} has no image for {platform}", do="Name another image, or the builder's platform")


def _error(reference: ImageRef, answer: httpx.Response) -> LaunchError:
    status = answer.status_code
    what = f"{reference}: status {status}"
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return Refused(f"The registry refuses; {what}", do="Mend the account (Registry block)")
    if status == HTTPStatus.TOO_MANY_REQUESTS or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Unavailable(f"The registry does not answer; {what}", do="Try again")
    return BadInput(f"The registry cannot be used; {what}", do="Check its address")
