"""Secrets for users' programs: named by whoever submits, bound by the agent's own file, seen by the program alone."""

from __future__ import annotations

import asyncio
import base64
import json
import os
from collections.abc import Iterable
from pathlib import Path

from pydantic import SecretBytes

from launch_jobs.agent_file import AgentFile, SecretBinding
from launch_jobs.errors import BadInput, Refused, Unavailable
from launch_jobs.redaction import LEAST
from launch_jobs.targets.secret_files import GivenSecret

_LARGEST = 64 * 1024
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR")


def bound(agent: AgentFile, queue: str, secrets: Iterable[GivenSecret]) -> dict[str, SecretBinding]:
    """Where the values of a run's secrets come from. Pure.

    Raises:
        Refused: this agent has none of that name for that queue. Which names other queues have is not told.
    """
    found: dict[str, SecretBinding] = {}
    for secret in secrets:
        binding = agent.secrets.get(secret.name)
        if binding is None or queue not in binding.queues:
            raise Refused(
                f"This agent has no secret {secret.name!r} for runs of the queue {queue!r}",
                do=f"Its operator binds it in the host's agent.toml: [secrets.{secret.name}] with queues = [{queue!r}]",
            )
        found[secret.name] = binding
    return found


async def fetched(agent: AgentFile, queue: str, secrets: tuple[GivenSecret, ...]) -> tuple[GivenSecret, ...]:
    """The same secrets with their values.

    Raises:
        Refused: this agent has none of that name for that queue.
        BadInput: what its file or command gives cannot be a secret. The message never holds it.
        Unavailable: its file cannot be read, or its command failed or took too long.
    """
    bindings = bound(agent, queue, secrets)
    values = {name: await _value(name, binding) for name, binding in bindings.items()}
    for secret in secrets:
        if secret.variable and b"\0" in values[secret.name]:
            raise BadInput(f"The secret {secret.name!r} holds a NUL byte: no variable can", do="Use its file")
    return tuple(one.model_copy(update={"value": SecretBytes(values[one.name])}) for one in secrets)


async def _value(name: str, binding: SecretBinding) -> bytes:
    if binding.value is not None:
        value = binding.value.get_secret_value().encode()
    elif binding.file is not None:
        value = await asyncio.to_thread(_read, name, binding.file)
    else:
        value = (await _printed(name, binding)).removesuffix(b"\n")
    if len(value.strip()) < LEAST or len(value) > _LARGEST:
        raise BadInput(f"The value of the secret {name!r} has not {LEAST} to {_LARGEST} bytes", do="See docs/agent.md")
    return value


def _read(name: str, file: Path) -> bytes:
    try:
        with file.open("rb") as content:
            return content.read(_LARGEST + 1)
    except OSError as error:
        raise Unavailable(f"The file of the secret {name!r} cannot be read: {error.strerror}") from error


async def _printed(name: str, binding: SecretBinding) -> bytes:
    """What a binding's command prints; what it says of errors may hold the value, so it is not repeated."""
    what = f"The command of the secret {name!r}"
    env = {key: os.environ[key] for key in _INHERITED if key in os.environ}
    quiet = asyncio.subprocess.DEVNULL
    try:
        process = await asyncio.create_subprocess_exec(
            *binding.command or (), stdin=quiet, stdout=asyncio.subprocess.PIPE, stderr=quiet, env=env, cwd="/"
        )
    except OSError as error:
        raise Unavailable(f"{what} cannot be started: {error.strerror}", do="Mend the host's agent.toml") from error
    try:
        printed, _ = await asyncio.wait_for(process.communicate(), binding.timeout)
    except TimeoutError as error:
        raise Unavailable(f"{what} took more than {binding.timeout:g} s", do="Try it on the agent's host") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise Unavailable(f"{what} ended with exit code {process.returncode}", do="Try it on the agent's host")
    return printed


def keep(path: Path, secrets: tuple[GivenSecret, ...]) -> None:
    """Keep an attempt's values for its whole life: another agent of this home hides the same ones, and a secret that
    is changed meanwhile is still the one that the program prints.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    values = {one.name: base64.b64encode(one.value.get_secret_value()).decode() for one in secrets}
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(values, file)
    new.replace(path)


def kept(path: Path) -> dict[str, bytes] | None:
    """The values that `keep` kept, by name; None: it did not, or not in this home."""
    try:
        values: dict[str, str] = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return {name: base64.b64decode(value) for name, value in values.items()}
