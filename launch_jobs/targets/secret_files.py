"""Secrets of a run as its program finds them: files that are its own, and, where asked for, variables."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from io import BytesIO

from pydantic import Field, SecretBytes

from launch_jobs.job import Frozen

CONTAINER_SECRETS = "/run/secrets"
SECRETS = "secrets"
"""Their folder in that of a process's attempt."""

SECRETS_VARIABLE = "LAUNCH_SECRETS_DIR"
USE = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}(=[A-Za-z_][A-Za-z0-9_]*)?$"
"""How a run names a secret: NAME, or NAME=VARIABLE."""

_FOLDER, _FILE = 0o555, 0o400
_NUMERIC = re.compile(r"(\d+)(?::(\d+))?")


class GivenSecret(Frozen):
    """A secret of one attempt.

    Its value is filled in where the attempt is made; a spec that is only printed has none.
    """

    name: str
    variable: str | None = Field(default=None, description="Environment variable that holds it, too.")
    value: SecretBytes = Field(default=SecretBytes(b""), repr=False)

    @classmethod
    def of(cls, use: str) -> GivenSecret:
        """From NAME or NAME=VARIABLE."""
        name, _, variable = use.partition("=")
        return cls(name=name, variable=variable or None)


def exporting(command: tuple[str, ...], secrets: tuple[GivenSecret, ...]) -> tuple[str, ...]:
    """A container's command with a shell before it that sets the variables from the files, and then is the program.

    The engine never has the values: it would show them to whoever inspects the container.
    """
    wanted = [secret for secret in secrets if secret.variable]
    if not wanted:
        return command
    # Names are of letters that a shell takes as they are.
    lines = [f'{one.variable}="$(cat {CONTAINER_SECRETS}/{one.name})" && export {one.variable}' for one in wanted]
    return ("/bin/sh", "-c", f'{" && ".join(lines)} && exec "$@"', "sh", *command)


def members(secrets: tuple[GivenSecret, ...], user: int) -> Iterator[tuple[tarfile.TarInfo, bytes]]:
    """The folder and the files that hold secrets in a container, for a user with that number alone."""
    folder = tarfile.TarInfo(CONTAINER_SECRETS.lstrip("/"))
    folder.type, folder.mode = tarfile.DIRTYPE, _FOLDER
    yield folder, b""
    for secret in {secret.name: secret for secret in secrets}.values():
        value = secret.value.get_secret_value()
        file = tarfile.TarInfo(f"{folder.name}/{secret.name}")
        file.mode, file.size, file.uid, file.gid = _FILE, len(value), user, user
        yield file, value


def archive(secrets: tuple[GivenSecret, ...], user: int) -> bytes:
    """The same as members of a tar stream without its end."""
    content = b""
    for member, value in members(secrets, user):
        content += member.tobuf(tarfile.PAX_FORMAT) + value + bytes(-len(value) % tarfile.BLOCKSIZE)
    return content


def user_number(user: str, passwd: bytes) -> int | None:
    """The number of a container's user, as `User` of the container names it; None: there is no such user.

    Args:
        user: empty, a number or a name, maybe with a group.
        passwd: the container's /etc/passwd.
    """
    if not user:
        return 0
    if match := _NUMERIC.fullmatch(user):
        return int(match[1])
    name = user.partition(":")[0].encode()
    fields = (line.split(b":") for line in passwd.splitlines())
    return next((int(one[2]) for one in fields if len(one) > 2 and one[0] == name and one[2].isdigit()), None)


def only_file(stream: bytes) -> bytes:
    """The content of the one file in an archive."""
    with tarfile.open(fileobj=BytesIO(stream)) as opened:
        file = opened.extractfile(opened.getmembers()[0])
        return file.read() if file else b""
