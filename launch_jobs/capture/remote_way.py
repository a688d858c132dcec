"""The way to a remote that the rule allows: what git is told of it, and that its name leads nowhere on this machine."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable, Mapping

from launch_jobs.basics import basics
from launch_jobs.capture.remote_rule import Place, check_remote, is_elsewhere, read_rule
from launch_jobs.errors import Refused

_PORTS = {"https": 443, "http": 80, "ssh": 22, "git": 9418}
_PROXIES = ("https_proxy", "HTTPS_PROXY", "http_proxy", "all_proxy", "ALL_PROXY")

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host; none where only a proxy, or ssh's own configuration, knows it."""


def allowed_remote(url: str) -> Place:
    """Where an address leads, if this machine's operator allows it.

    Raises:
        Refused: it is not allowed, or no address of a remote; says why.
        BadInput: the setting `git_remotes` is none.
    """
    return check_remote(url, basics().git_remotes)


def is_allowed(url: str) -> bool:
    """Whether this machine, and so perhaps another, may fetch from an address."""
    try:
        allowed_remote(url)
    except Refused:
        return False
    return True


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses that this machine finds for a host."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def way_to(url: str, given: Mapping[str, str], resolve: Resolve = addresses_of) -> dict[str, str]:
    """Environment variables that keep git on the allowed way: these kinds, no redirect, the address that was checked.

    Args:
        url: the remote.
        given: other variables that git will get, whose numbered configuration is continued.
        resolve: looks up a host.

    Raises:
        Refused: the rule does not allow it, or its name leads to this machine or its link.
    """
    rule = basics().git_remotes
    place = check_remote(url, rule)
    settings = {"http.followRedirects": "false"}
    if found := _checked(place, rule, resolve):
        settings["http.curloptResolve"] = f"{place.host}:{_port(place)}:{','.join(found)}"
    kinds = {word.scheme for word in read_rule(rule)}
    return {"GIT_ALLOW_PROTOCOL": ":".join(sorted(kinds)), **_configuration(settings, given)}


def _checked(place: Place, rule: str, resolve: Resolve) -> list[str]:
    """The addresses to connect to, where git can be held to them; none where it is not we who look it up."""
    named = any(word.scheme == place.scheme and word.host == place.host for word in read_rule(rule))
    if named or place.scheme == "file" or _is_address(place.host):
        return []
    found = resolve(place.host, _port(place))
    for address in found:
        if not is_elsewhere(ipaddress.ip_address(address.partition("%")[0])):
            raise Refused(
                f"The git host {place.host} leads to {address}, which is this machine or its link",
                do=f"If that is meant, an operator adds {place.scheme}://{place.host} to the setting git_remotes",
            )
    proxied = any(os.environ.get(name) for name in _PROXIES)
    return found if place.scheme in ("https", "http") and not proxied else []


def _port(place: Place) -> int:
    return place.port or _PORTS.get(place.scheme, 0)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _configuration(settings: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    text = given.get("GIT_CONFIG_COUNT") or os.environ.get("GIT_CONFIG_COUNT", "0")
    first = int(text) if text.isdigit() else 0
    numbered = {
        f"GIT_CONFIG_{part}_{number}": word
        for number, pair in enumerate(settings.items(), first)
        for part, word in zip(("KEY", "VALUE"), pair, strict=True)
    }
    return {"GIT_CONFIG_COUNT": str(first + len(settings)), **numbered}
