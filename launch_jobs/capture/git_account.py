"""An account for one git host: how git is told of it, so that it shows in no argument, file, log or error."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field

from launch_jobs.errors import BadInput
from launch_jobs.hosts import is_loopback

_HOST = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True)
class GitAccount:
    """An account for one git host.

    Attributes:
        host: host, or host:port; the account goes to no other.
        username: account.
        token: its password or access token.
    """

    host: str
    username: str
    token: str = field(repr=False)

    def environment(self, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
        """Git configuration, as environment variables, that sends the account to its host and follows no redirect.

        git itself compares scheme, host and port; that is https, and on this machine http too.

        Args:
            environ: what git inherits; configuration that is passed this way already is kept.

        Raises:
            BadInput: the host is no host.
        """
        if not _HOST.fullmatch(self.host):
            raise BadInput(f"{self.host!r} is no git host", do="Write host or host:port, e.g. github.com")
        login = base64.b64encode(f"{self.username}:{self.token}".encode()).decode()
        settings = [
            (f"http.{scheme}://{self.host}/.{name}", value)
            for scheme in self._schemes()
            for name, value in (("extraHeader", f"Authorization: Basic {login}"), ("followRedirects", "false"))
        ]
        first = _count(environ)
        numbered = {
            f"GIT_CONFIG_{part}_{first + number}": text
            for number, pair in enumerate(settings)
            for part, text in zip(("KEY", "VALUE"), pair, strict=True)
        }
        return {"GIT_CONFIG_COUNT": str(first + len(settings)), **numbered}

    def _schemes(self) -> tuple[str, ...]:
        host = self.host.rpartition(":")[0] if re.search(r":[0-9]+$", self.host) else self.host
        return ("https", "http") if is_loopback(host.strip("[]")) else ("https",)


FindAccount = Callable[[], GitAccount | None]

_FIND: ContextVar[FindAccount | None] = ContextVar("git_account", default=None)


def offer_account(find: FindAccount | None) -> None:
    """Say where an account comes from, for the current task and what it calls; asked only when git goes to a remote."""
    _FIND.set(find)


def account_environment() -> dict[str, str]:
    """What git is told, as environment variables, of the account that is offered here; empty without one.

    Raises:
        LaunchError: it cannot be read.
    """
    find = _FIND.get()
    account = find() if find else None
    return account.environment() if account else {}


def _count(environ: Mapping[str, str]) -> int:
    text = environ.get("GIT_CONFIG_COUNT", "0")
    return int(text) if text.isdigit() else 0
