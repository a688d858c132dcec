"""Which git remotes are fetched from: an allow-list of schemes and hosts. Pure; nothing is looked up or started."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from launch_jobs.errors import BadInput, Refused
from launch_jobs.hosts import is_loopback

EVERYWHERE = "https://* ssh://*"
"""The rule of an operator who says nothing: any host elsewhere, by the two ways that prove who answers."""

SCHEMES = ("https", "ssh", "http", "git", "file")
"""What an operator may allow. Never `ext` and `fd`, by which git runs a program of the address's choice."""

_LONGEST = 2048
_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?")
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*")
_SCP = re.compile(r"(?:(?P<user>[^@:/]*)@)?(?P<host>\[[^\]/]*\]|[^:/@\[\]]+):(?P<path>.*)")
# What C libraries take for an IPv4 address besides four decimal numbers: 127.1, 0x7f000001, 2130706433.
_NUMBER = re.compile(r"0[xX][0-9a-fA-F]*|[0-9]+")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a remote is.

    Attributes:
        scheme: one of `SCHEMES`.
        host: lower case, without brackets and last dot; empty for `file`.
        port: None: the scheme's own.
        path: as written.
    """

    scheme: str
    host: str
    port: int | None
    path: str


@dataclass(frozen=True, slots=True)
class _Allowed:
    """One word of a rule; a host `*` is any elsewhere, `*.example.org` any below, a port None any."""

    scheme: str
    host: str
    port: int | None
    path: str

    def covers(self, place: Place) -> bool:
        """Whether it allows a place."""
        if place.scheme != self.scheme or self.port not in (None, place.port):
            return False
        if self.scheme == "file":
            return _below(self.path, place.path)
        if self.host == "*":
            return _elsewhere(place.host)
        suffix = self.host.removeprefix("*")
        return place.host == self.host or (suffix != self.host and place.host.endswith(suffix))


def check_remote(url: str, rule: str = EVERYWHERE) -> Place:
    """Return where an address leads, if the rule allows it.

    Args:
        url: an address as git takes it.
        rule: words `scheme://host`, `scheme://host:port`, `scheme://*.domain`, `scheme://*`, `file:///folder`.

    Raises:
        Refused: it does not; says why.
        BadInput: the rule is none.
    """
    try:
        place = read_remote(url)
    except ValueError as error:
        do = "Write https://host/path, ssh://user@host/path or user@host:path"
        raise Refused(f"{url[:200]!r} is no git remote to fetch from: {error}", do=do) from error
    if any(word.covers(place) for word in read_rule(rule)):
        return place
    where = f"{place.scheme}://{place.host or place.path}"
    raise Refused(
        f"{url[:200]!r} is no git remote to fetch from: {where} is not allowed here",
        do=f"Allowed: {rule}; an operator widens it by the setting git_remotes",
    )


def read_rule(rule: str) -> tuple[_Allowed, ...]:
    """The words of a rule.

    Raises:
        BadInput: one is none; says how they are written.
    """
    return tuple(_word(word) for word in rule.split())


def read_remote(url: str) -> Place:
    """Where an address leads; an absolute path is a `file`.

    Raises:
        ValueError: it is none, or of a kind by which git could be made to run something; says why.
    """
    _check_characters(url)
    if "::" in url.partition("/")[0]:
        raise ValueError("a remote helper would be run")
    if "://" in url:
        return _from_url(url)
    if url.startswith("/"):
        return Place("file", "", None, posixpath.normpath(url))
    return _from_scp(url)


def _check_characters(url: str) -> None:
    if not url or len(url) > _LONGEST:
        raise ValueError("it is empty" if not url else f"it is longer than {_LONGEST} characters")
    if url.startswith("-"):
        raise ValueError("it reads as an option")
    if not url.isascii():
        raise ValueError("it has letters beyond ASCII: write the host as xn--…, the path with %…")
    if any(char <= " " or char in "\\\x7f" for char in url):
        raise ValueError("it has a blank, a backslash or a control character")


def _from_url(url: str) -> Place:
    parts = urlsplit(url)
    if parts.scheme not in SCHEMES or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"its kind is none of {', '.join(SCHEMES)}")
    if parts.scheme == "file":
        if parts.netloc or not parts.path.startswith("/"):
            raise ValueError("a file:// address names an absolute path and no host")
        return Place("file", "", None, posixpath.normpath(parts.path))
    user, _, _ = parts.netloc.rpartition("@")
    name = user.partition(":")[0]
    if name and parts.scheme == "ssh" and not _USER.fullmatch(name):
        raise ValueError(f"{name!r} is no user")
    port = parts.port  # ValueError beyond 65535, or for no number
    if port == 0 or parts.netloc.endswith(":"):
        raise ValueError("its port is none")
    if parts.path in ("", "/"):
        raise ValueError("it names a host but no repository")
    return Place(parts.scheme, _host(parts.hostname or ""), port, parts.path)


def _from_scp(url: str) -> Place:
    found = _SCP.fullmatch(url)
    if found is None or len(found["host"]) < 2:
        raise ValueError("it is a path relative to nothing")
    user, path = found["user"], found["path"]
    if user is not None and not _USER.fullmatch(user):
        raise ValueError(f"{user!r} is no user")
    if not path or path.startswith("-"):
        raise ValueError("it names a host but no repository")
    return Place("ssh", _host(found["host"].removeprefix("[").removesuffix("]")), None, path)


def _host(text: str) -> str:
    """A host in its one form.

    Raises:
        ValueError: it is none, or an address in a form that hides which.
    """
    host = text.lower().removesuffix(".")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    if not _NAME.fullmatch(host):
        raise ValueError(f"{text!r} is no host")
    if _NUMBER.fullmatch(host.rpartition(".")[2]):
        raise ValueError(f"{text!r} is an address in disguise")
    return host


def _elsewhere(host: str) -> bool:
    """Whether `*` means a host: not this machine, its link or cloud's metadata, nor a name that may look like another.

    Networks of one's own (10.0.0.0/8 …) are elsewhere: that is where a company's git host is.
    """
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        local = is_loopback(host) or host.endswith((".localhost", ".internal"))
        return not local and not any(label.startswith("xn--") for label in host.split("."))
    return is_elsewhere(address)


def is_elsewhere(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address can be another machine's: not loopback, link-local (cloud metadata), multicast or reserved."""
    inner = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    one = inner or address
    mine = one.is_loopback or one.is_link_local or one.is_unspecified or one.is_multicast
    return not mine and not one.is_reserved and str(one) != "fd00:ec2::254"


def _below(folder: str, path: str) -> bool:
    return folder in ("/", path) or path.startswith(f"{folder}/")


def _word(word: str) -> _Allowed:
    scheme, separator, rest = word.partition("://")
    try:
        if not separator or scheme not in SCHEMES:
            raise ValueError(word)
        if scheme == "file":
            return _Allowed("file", "", None, read_remote(f"file://{rest}").path)
        if rest in ("*", "*:*"):
            return _Allowed(scheme, "*", None, "")
        place = read_remote(f"{scheme}://{rest.removeprefix('*.')}/x")
    except ValueError as error:
        raise BadInput(
            f"{word!r} in the setting git_remotes is no place of remotes",
            do="Write words such as https://* ssh://git.example.org http://10.0.0.5:3000 file:///srv/git",
        ) from error
    return _Allowed(scheme, f"*.{place.host}" if rest.startswith("*.") else place.host, place.port, "")
