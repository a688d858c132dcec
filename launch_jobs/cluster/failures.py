"""What an API server and the network to it say when something fails, as our errors. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import cast

import aiohttp

from launch_jobs.errors import BadInput, LaunchError, NotFound, Refused, Unavailable
from launch_jobs.job import JsonObject

_RULE = re.compile(
    r'cannot (?P<verb>\w+) resource "(?P<resource>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]+)"| (?P<scope>at the cluster scope))?'
)
_ADMISSION = ("admission webhook", "ValidatingAdmissionPolicy")


class ClusterConflict(LaunchError):
    """409: the name is taken, or the object has changed meanwhile."""


class WatchExpired(LaunchError):
    """410: the server has forgotten the version to watch from; list again."""


class Forbidden(Refused):
    """403: the agent's account may not; the message names the rule that its Role lacks."""


class OverQuota(Unavailable):
    """403: a quota of the namespace has no room for the object now."""


class Overloaded(Unavailable):
    """429 or 5xx with a time to come again.

    Attributes:
        after_s: seconds until then.
    """

    def __init__(self, what: str, after_s: float) -> None:
        super().__init__(what, do="Try again")
        self.after_s = after_s


class CommandFailed(LaunchError):
    """A command in a container could not be run, or ended by another exit code than 0."""


@asynccontextmanager
async def broken() -> AsyncGenerator[None]:
    """What the network does, as `Unavailable`."""
    try:
        yield
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise silent(error) from error


@asynccontextmanager
async def until_allowed() -> AsyncGenerator[None]:
    """Wait for what an account may not do any more: it is no end of a run that was begun with it."""
    try:
        yield
    except Forbidden as error:
        raise Unavailable(error.what, do=error.do) from error


def silent(error: Exception) -> Unavailable:
    """Nobody answers, or the connection broke."""
    if isinstance(error, aiohttp.ClientSSLError):
        return Unavailable(
            f"the Kubernetes API server is not who it should be: {str(error)[:200]}",
            do="Look at certificate-authority of the kubeconfig",
        )
    return Unavailable(
        f"the Kubernetes API server does not answer: {str(error)[:200] or type(error).__name__}", do="Try again"
    )


def status_of(body: bytes, reason: str) -> JsonObject:
    """The `Status` object that the body of a bad answer is, or something like it."""
    try:
        told: object = json.loads(body)
    except ValueError:
        told = None
    return (
        cast("JsonObject", told)
        if isinstance(told, dict)
        else {"message": body[:300].decode(errors="replace") or reason}
    )


def error_of(told: JsonObject, status: int, path: str, *, after: str = "") -> LaunchError:
    """Our error for a `Status` that the server returned; `after` is its header Retry-After. Pure."""
    status = status or cast("int", told.get("code") or 500)
    message = str(told.get("message") or told.get("reason") or "no reason given").strip()[:600]
    if status == 401:
        return Unavailable(f"Kubernetes does not know this account: {message}", do="Renew the kubeconfig or token")
    if status == 403:
        return forbidden(message)
    kinds: dict[int, type[LaunchError]] = {404: NotFound, 409: ClusterConflict, 410: WatchExpired}
    if status in kinds:
        return kinds[status](f"Kubernetes: {message}")
    if status in {400, 405, 406, 413, 415, 422}:
        is_denied = any(sign in message for sign in _ADMISSION)
        return Refused(f"The cluster refuses it: {message}") if is_denied else BadInput(f"Kubernetes: {message}")
    if after.isdecimal():
        return Overloaded(f"Kubernetes ({status}) at {path}: {message}", max(1.0, float(after)))
    return Unavailable(f"Kubernetes ({status}) at {path}: {message}", do="Try again")


def forbidden(message: str) -> LaunchError:
    """The error of a 403: with the rule that is missing, if one is. Pure."""
    if "exceeded quota" in message:
        return OverQuota(f"A quota refuses it: {message}", do="Wait, or ask for a larger one")
    found = _RULE.search(message)
    if not found:
        return Refused(f"Kubernetes refuses: {message}")
    where = f"the namespace {found['namespace']!r}" if found["namespace"] else "the cluster"
    rule = f'apiGroups: ["{found["group"]}"], resources: ["{found["resource"]}"], verbs: ["{found["verb"]}"]'
    return Forbidden(f"Kubernetes refuses this agent's account: {message}", do=f"Give it this rule in {where}: {rule}")
