"""Where the Prefect server is and how to log in, as a private file in the home folder.

It tells of the embedded server that `launch up` started, or of one elsewhere that `launch connect` chose.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from launch_jobs.errors import LaunchError
from launch_jobs.hosts import is_loopback
from launch_jobs.settings import LaunchSettings, connection_file

USER = "admin"
_LOOPBACK = "127.0.0.1"
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Connection:
    """The server that this home folder's clients and agents talk to.

    Attributes:
        api_url: for PREFECT_API_URL.
        auth_string: `user:password`, for PREFECT_API_AUTH_STRING; empty: the server asks for none.
        ui_url: for a browser.
        host: name of the machine that runs the server.
        api_key: for PREFECT_API_KEY, where a proxy before the server wants a bearer token.
        embedded: it is this machine's embedded server.
        store: the job store that goes with a server elsewhere, as the setting `store` has it.
    """

    api_url: str
    auth_string: str = field(repr=False)
    ui_url: str
    host: str
    api_key: str = field(default="", repr=False)
    embedded: bool = True
    store: str | None = None

    @property
    def port(self) -> int:
        """The server's port."""
        return urlsplit(self.api_url).port or 80

    @property
    def password(self) -> str:
        """What the UI asks for, after the user name."""
        return self.auth_string.partition(":")[2]


def embedded(port: int, password: str) -> Connection:
    """The connection to this machine's embedded server."""
    return Connection(
        api_url=f"http://{_LOOPBACK}:{port}/api",
        auth_string=f"{USER}:{password}",
        ui_url=f"http://{_LOOPBACK}:{port}",
        host=socket.gethostname(),
    )


def connection(settings: LaunchSettings) -> Connection | None:
    """The connection that `launch up` or `launch connect` left; None where there is none, or it was taken down.

    Raises:
        LaunchError: the file is there but not readable as what we wrote.
    """
    path = connection_file(settings.home)
    try:
        return Connection(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise LaunchError(
            f"{path} cannot be read ({error})",
            do="Remove it, then run `launch up` or `launch connect`; no data is in it",
        ) from error


def client_environment(to: Connection, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables with which any Prefect client reaches the server.

    A server elsewhere gets an empty value for what it does not ask for, so that no credential of another server, from
    this environment or a Prefect profile, is sent to it. Behind a proxy the loopback address is taken out of it, else
    the client would ask the proxy for its own machine.
    """
    variables = {"PREFECT_API_URL": to.api_url, "PREFECT_API_AUTH_STRING": to.auth_string}
    if not to.embedded:
        variables["PREFECT_API_KEY"] = to.api_key
    if not is_loopback(urlsplit(to.api_url).hostname or ""):
        return variables
    no_proxy = environ.get("NO_PROXY", environ.get("no_proxy", ""))
    if any(environ.get(name) for name in _PROXIES) and _LOOPBACK not in no_proxy and no_proxy != "*":
        variables["NO_PROXY"] = variables["no_proxy"] = ",".join(filter(None, [no_proxy, _LOOPBACK, "localhost"]))
    return variables


def use_server(to: Connection) -> None:
    """Let this process and its children talk to a server, whatever their environment said."""
    os.environ.update(client_environment(to))
    if "prefect.context" in sys.modules:  # it has read its settings already
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def use_home_server(settings: LaunchSettings) -> Connection | None:
    """Let this process talk to its home's server, unless PREFECT_API_URL names another; which one, if the home's.

    Raises:
        LaunchError: what the home says of its server cannot be read.
    """
    to = None if os.environ.get("PREFECT_API_URL") else connection(settings)
    if to is not None:
        use_server(to)
    return to


def remember(settings: LaunchSettings, to: Connection) -> None:
    """Write the connection (0600)."""
    write_private(connection_file(settings.home), json.dumps(asdict(to), indent=2) + "\n")


def forget(settings: LaunchSettings) -> None:
    """Remove the connection; the password stays, so that the next server has the same."""
    connection_file(settings.home).unlink(missing_ok=True)


def password(settings: LaunchSettings) -> str:
    """The embedded server's password: made once per home, so that open shells and profiles stay valid."""
    path = settings.home / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    with os.fdopen(handle, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(handle)
    Path(name).replace(path)
