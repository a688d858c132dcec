"""A Prefect server elsewhere: is it one, of a version that fits, and does it take our credential?"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import ssl
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import httpx
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import InvalidVersion, Version

from launch_jobs.errors import BadInput, LaunchError, Unavailable
from launch_jobs.hosts import is_loopback
from launch_jobs.local.connection import Connection

_LIMIT_S = 10.0
_LIMIT_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Credential:
    """What a server asks for; empty: nothing.

    Attributes:
        auth_string: `user:password`, for a Prefect server with basic authentication.
        api_key: a bearer token, for a proxy before the server that wants one.
    """

    auth_string: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The HTTP header that carries it, as Prefect's client sends it."""
        if self.auth_string:
            return {"Authorization": f"Basic {base64.b64encode(self.auth_string.encode()).decode()}"}
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}


def server_url(text: str) -> str:
    """The API address that a user means, who may leave `/api` away.

    Raises:
        BadInput: it is no http address, or it holds a credential, which would stay in shell history and lists of
            processes.
    """
    text = text.strip()
    try:
        parts = urlsplit(text)
        named = parts.scheme in {"http", "https"} and parts.hostname and (parts.port or True)
    except ValueError:
        parts, named = urlsplit(""), None
    if not named or parts.query or parts.fragment or not text.isprintable():
        raise BadInput(f"{text.rpartition('@')[2]!r} is no server address", do="Write it as http://HOST:4200")
    if "@" in parts.netloc:
        raise BadInput(
            "A credential in the address stays in shell history",
            do="Leave it away; it is asked for, or read from --auth-file or PREFECT_API_AUTH_STRING",
        )
    path = parts.path.rstrip("/")
    return urlunsplit((parts.scheme, parts.netloc, path if path.endswith("/api") else f"{path}/api", "", ""))


def remote(api_url: str, credential: Credential) -> Connection:
    """The connection to a server elsewhere."""
    return Connection(
        api_url=api_url,
        auth_string=credential.auth_string,
        api_key=credential.api_key,
        ui_url=api_url.removesuffix("/api"),
        host=urlsplit(api_url).hostname or "",
        embedded=False,
    )


def is_local(api_url: str) -> bool:
    """Whether the server is on this machine, reached by nobody else's network."""
    return is_loopback(urlsplit(api_url).hostname or "")


def asks_for_credential(api_url: str) -> bool:
    """Whether a Prefect server is there that lets nobody in without a credential; none is sent.

    Raises:
        Unavailable: nobody answers, or the server is in trouble.
        BadInput: what answers is no Prefect server.
    """
    health = _get(api_url, "/health", Credential())
    if health.status_code not in {401, 403}:  # a proxy that guards everything
        _expect(api_url, health, bool)
    return _get(api_url, "/admin/version", Credential()).status_code in {401, 403}


def server_version(api_url: str, credential: Credential) -> str:
    """The version of a Prefect server, which takes our credential.

    Raises:
        Unavailable: nobody answers, or the server is in trouble.
        BadInput: it refuses the credential, or what answers is no Prefect server.
    """
    answer = _get(api_url, "/admin/version", credential)
    if answer.status_code in {401, 403}:
        raise BadInput(
            f"The server at {api_url} refuses the credential ({answer.status_code})",
            do="Give its user:password (the server's PREFECT_SERVER_API_AUTH_STRING)",
        )
    return str(_expect(api_url, answer, str))


def check_version(api_url: str, version: str) -> None:
    """Compare a server's version with the Prefect that this package is made for.

    Raises:
        BadInput: it is older or newer.
    """
    wanted = _wanted()
    try:
        fits = wanted.contains(Version(version), prereleases=True)
    except InvalidVersion:
        raise _foreign(api_url, f"it says its version is {version[:40]!r}") from None
    if not fits:
        raise BadInput(
            f"The server at {api_url} is Prefect {version}, but this Launch Jobs works with {wanted}",
            do="Use the Launch Jobs that fits the server, or another version of the server",
        )


def _wanted() -> SpecifierSet:
    for text in importlib.metadata.requires("launch-jobs") or []:
        requirement = Requirement(text)
        if requirement.name == "prefect":
            return requirement.specifier
    return SpecifierSet()


def _get(api_url: str, path: str, credential: Credential) -> httpx.Response:
    """One request. No redirect is followed: the credential is for this address."""
    try:
        with (
            httpx.Client(verify=_certificates(api_url), trust_env=not is_local(api_url), timeout=_LIMIT_S) as client,
            client.stream("GET", api_url + path, headers=credential.headers) as answer,
        ):
            return httpx.Response(answer.status_code, headers=_location(answer), content=_beginning(answer))
    except (httpx.RemoteProtocolError, httpx.DecodingError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _foreign(api_url, str(error)) from error
    except httpx.TransportError as error:
        raise Unavailable(
            f"No server answers at {api_url} ({error or type(error).__name__})", do=_advice(str(error))
        ) from error


def _beginning(answer: httpx.Response) -> bytes:
    """Enough to know a Prefect server by; whatever else answers may send without end."""
    body = b""
    for part in answer.iter_bytes(_LIMIT_BYTES):
        body += part
        if len(body) >= _LIMIT_BYTES:
            break
    return body


def _location(answer: httpx.Response) -> dict[str, str]:
    return {"location": answer.headers["location"]} if "location" in answer.headers else {}


def _certificates(api_url: str) -> ssl.SSLContext | bool:
    """As Prefect's client chooses them."""
    file = os.environ.get("PREFECT_API_SSL_CERT_FILE") or os.environ.get("SSL_CERT_FILE")
    if not file or not api_url.startswith("https:"):
        return True
    try:
        return ssl.create_default_context(cafile=file)
    except OSError as error:
        raise BadInput(f"The certificates {file} cannot be read ({error})", do="Mend SSL_CERT_FILE") from error


def _advice(said: str) -> str:
    if "CERTIFICATE" in said:
        return "Name the file of its CA certificate by PREFECT_API_SSL_CERT_FILE"
    return "Is it running, does it listen on more than loopback there, and is the address right?"


def _expect(api_url: str, answer: httpx.Response, kind: type) -> object:
    if answer.is_redirect:
        where = answer.headers.get("location", "")
        raise BadInput(f"{api_url} sends on to {where[:200]!r}", do="Connect to that address, if it is the server's")
    if answer.status_code == 429 or answer.status_code >= 500:
        raise Unavailable(f"The server at {api_url} is in trouble ({answer.status_code})", do="Try again")
    try:
        value: object = json.loads(answer.content)
    except ValueError:
        value = None
    if answer.status_code != 200 or not isinstance(value, kind):
        raise _foreign(api_url, f"it answers {answer.status_code}")
    return value


def _foreign(api_url: str, why: str) -> LaunchError:
    return BadInput(f"What answers at {api_url} is no Prefect server ({why})", do="Check host, port and path")
