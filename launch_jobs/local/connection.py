"""Where the Prefect server is and how to log in, as a private file in the home folder."""

from __future__ import annotations

import json
import os
import secrets
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from launch_jobs.errors import LaunchError
from launch_jobs.settings import LaunchSettings

USER = "admin"
_LOOPBACK = "127.0.0.1"
_PROXIES = ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY")


@dataclass(frozen=True, slots=True)
class Connection:
    """The server that this home folder's clients and agents talk to.

    Attributes:
        api_url: for PREFECT_API_URL.
        auth_string: `user:password`, for PREFECT_API_AUTH_STRING.
        ui_url: for a browser.
        host: name of the machine that runs the server.
    """

    api_url: str
    auth_string: str = field(repr=False)
    ui_url: str
    host: str

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
    """The connection that `launch up` left; None where no server was started, or it was taken down.

    Raises:
        LaunchError: the file is there but not readable as what we wrote.
    """
    path = _file(settings)
    try:
        return Connection(**json.loads(path.read_text()))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, TypeError) as error:
        raise LaunchError(
            f"{path} cannot be read ({error})", do="Remove it and run `launch up`; no data is in it"
        ) from error


def client_environment(to: Connection, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment variables with which any Prefect client reaches the server.

    Behind a proxy the loopback address is taken out of it, else the client would ask the proxy for its own machine.
    """
    variables = {"PREFECT_API_URL": to.api_url, "PREFECT_API_AUTH_STRING": to.auth_string}
    no_proxy = environ.get("NO_PROXY", environ.get("no_proxy", ""))
    if any(environ.get(name) for name in _PROXIES) and _LOOPBACK not in no_proxy and no_proxy != "*":
        variables["NO_PROXY"] = variables["no_proxy"] = ",".join(filter(None, [no_proxy, _LOOPBACK, "localhost"]))
    return variables


def remember(settings: LaunchSettings, to: Connection) -> None:
    """Write the connection (0600)."""
    write_private(_file(settings), json.dumps(asdict(to), indent=2) + "\n")


def forget(settings: LaunchSettings) -> None:
    """Remove the connection; the password stays, so that the next server has the same."""
    _file(settings).unlink(missing_ok=True)


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


def _file(settings: LaunchSettings) -> Path:
    return settings.home / "server.json"
