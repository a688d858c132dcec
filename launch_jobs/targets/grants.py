"""What a host lets a container have, judged on the exact body that its engine will get. Pure.

The queue's template can ask for little; this is the second look, at the final object: what is not known to be harmless
is refused, whoever asked for it, unless the host's own file grants it.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, JsonValue, StringConstraints

from launch_jobs.errors import Refused
from launch_jobs.job import Frozen, JsonObject
from launch_jobs.targets.env import is_hostile
from launch_jobs.targets.kubernetes.grants import ClusterGrants


def _absolute(path: str) -> str:
    if not path.startswith("/") or posixpath.normpath(path) != (path.rstrip("/") or "/"):
        raise ValueError("an absolute path without . and .. is needed")
    return posixpath.normpath(path)


HostPath = Annotated[str, StringConstraints(max_length=4096), AfterValidator(_absolute)]


class HostGrants(Frozen):
    """What this host may grant to containers; nothing by default."""

    privileged: bool = Field(default=False, description="All of the host's power: a privileged container owns it.")
    mounts: tuple[HostPath, ...] = Field(
        default=(), description="Folders of this host that a queue may mount, with all below them."
    )
    read_only_mounts: tuple[HostPath, ...] = Field(default=(), description="The same, but for reading only.")
    host_network: bool = Field(default=False, description="The host's own network.")
    host_pid: bool = Field(default=False, description="Sight of all processes of the host.")
    host_ipc: bool = Field(default=False, description="The host's shared memory.")
    devices: tuple[HostPath, ...] = Field(default=(), description="Device files. GPUs are no devices in this sense.")
    capabilities: tuple[Annotated[str, StringConstraints(pattern=r"^[A-Z_]+$")], ...] = Field(
        default=(), description="Linux capabilities, without CAP_."
    )
    kubernetes: ClusterGrants = Field(default=ClusterGrants(), description="The same for pods of Kubernetes queues.")


Rule = Callable[[JsonValue, HostGrants], str]
"""Why a value is refused under these grants; empty if it is not."""

_TOP = frozenset(
    {
        *("Image", "Env", "Labels", "Entrypoint", "Cmd", "WorkingDir", "User", "Healthcheck", "HostConfig"),
        *("AttachStdin", "AttachStdout", "AttachStderr", "OpenStdin", "StdinOnce", "Tty", "StopSignal", "StopTimeout"),
    }
)
_VOLUME = re.compile(r"(?P<source>[^:]*):(?P<target>[^:]*)(:(?P<options>.*))?")


def check_body(body: Mapping[str, JsonValue], grants: HostGrants) -> None:
    """Judge the body of a container-create call.

    Raises:
        Refused: it wants what this host does not grant; one line names all of it.
    """
    if found := list(refusals(body, grants)):
        raise Refused(
            f"This host does not grant {'; '.join(found)}", do="An operator allows it in the host's agent.toml, [allow]"
        )


def with_real_sources(body: JsonObject) -> JsonObject:
    """The body whose mounts name what this host's links lead to; a path that is not there stays as it is."""
    host = body.get("HostConfig")
    mounts = host.get("Mounts") if isinstance(host, dict) else None
    if not isinstance(host, dict) or not isinstance(mounts, list):
        return body
    real: list[JsonValue] = [
        {**mount, "Source": os.path.realpath(str(mount["Source"]))}
        if isinstance(mount, dict) and ".." not in str(mount.get("Source")) and mount.get("Source")
        else mount
        for mount in mounts
    ]
    return {**body, "HostConfig": {**host, "Mounts": real}}


def refusals(body: Mapping[str, JsonValue], grants: HostGrants) -> Iterator[str]:
    """Everything in a container-create body that is not granted, each in a few words."""
    yield from (key for key, value in body.items() if key not in _TOP and _says_something(value))
    for line in _list(body.get("Env")):
        name = str(line).partition("=")[0]
        if is_hostile(name):
            yield f"the environment variable {name[:80]}"
    host = body.get("HostConfig")
    if isinstance(host, dict):
        yield from filter(None, (rule(host.get(key), grants) for key, rule in _REQUIRED.items()))
        yield from filter(None, (_judged(key, value, grants) for key, value in host.items() if key not in _REQUIRED))
    else:
        yield "a container without HostConfig"


def _judged(key: str, value: JsonValue, grants: HostGrants) -> str:
    if not _says_something(value):
        return ""
    rule = _RULES.get(key)
    return rule(value, grants) if rule else key


def _says_something(value: JsonValue) -> bool:
    """Whether a value is more than an absence: Docker's own default for every key."""
    return value not in (None, False, 0, "", [], {})


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []


def _quoted(key: str, value: JsonValue) -> str:
    return f"{key} {str(value)[:80]!r}"


def _harmless(_value: JsonValue, _grants: HostGrants) -> str:
    return ""


def _one_of(key: str, *harmless: JsonValue) -> Rule:
    return lambda value, _: "" if value in harmless else _quoted(key, value)


def _host_mode(key: str, granted: Callable[[HostGrants], bool], *harmless: str) -> Rule:
    def rule(value: JsonValue, grants: HostGrants) -> str:
        return "" if value in harmless or (value == "host" and granted(grants)) else _quoted(key, value)

    return rule


def _privileged(_value: JsonValue, grants: HostGrants) -> str:
    return "" if grants.privileged else "Privileged"


def _drops_all(value: JsonValue, grants: HostGrants) -> str:
    return "" if "ALL" in _list(value) or grants.privileged else "a container that keeps capabilities (CapDrop)"


def _no_new_privileges(value: JsonValue, grants: HostGrants) -> str:
    options = _list(value)
    if odd := [option for option in options if option not in ("no-new-privileges", "no-new-privileges:true")]:
        return "" if grants.privileged else _quoted("SecurityOpt", odd[0])
    return "" if options or grants.privileged else "a container that may gain privileges (SecurityOpt)"


def _limited_processes(value: JsonValue, _grants: HostGrants) -> str:
    return "" if isinstance(value, int) and value > 0 else "a container without PidsLimit"


def _capabilities(value: JsonValue, grants: HostGrants) -> str:
    if grants.privileged:
        return ""
    names = [str(name).upper().removeprefix("CAP_") for name in _list(value)]
    odd = [name for name in names if name not in grants.capabilities]
    return _quoted("the capability", odd[0]) if odd else ""


def _devices(value: JsonValue, grants: HostGrants) -> str:
    for device in _list(value):
        path = str(device.get("PathOnHost")) if isinstance(device, dict) else ""
        if posixpath.normpath(path) not in grants.devices:
            return _quoted("the device", path)
    return "" if isinstance(value, list) else _quoted("Devices", value)


def _gpus(value: JsonValue, _grants: HostGrants) -> str:
    for request in _list(value):
        asked = request if isinstance(request, dict) else {}
        if asked.get("Capabilities") != [["gpu"]] or asked.get("Options") or asked.get("Count") == -1:
            return _quoted("the device request", request)
    return "" if isinstance(value, list) else _quoted("DeviceRequests", value)


def _binds(value: JsonValue, grants: HostGrants) -> str:
    for line in _list(value):
        match = _VOLUME.fullmatch(str(line))
        options = set((match["options"] or "").split(",")) if match else set[str]()
        source = match["source"] if match else str(line)
        folders = (*grants.mounts, *(grants.read_only_mounts if "ro" in options else ()))
        if not _within(source, folders) or not options <= {"", "ro", "rw"}:
            return _quoted("the mount", line)
    return "" if isinstance(value, list) else _quoted("Binds", value)


def _mounts(value: JsonValue, grants: HostGrants) -> str:
    for mount in _list(value):
        if not isinstance(mount, dict) or not _is_granted_mount(mount, grants):
            source = mount.get("Source") or mount.get("Type") if isinstance(mount, dict) else mount
            return _quoted("the mount", source)
    return "" if isinstance(value, list) else _quoted("Mounts", value)


def _is_granted_mount(mount: JsonObject, grants: HostGrants) -> bool:
    if mount.get("Type") == "tmpfs":
        return not mount.get("Source")
    source = mount.get("Source")
    is_plain = not mount.keys() - {"Type", "Source", "Target", "ReadOnly"}
    folders = (*grants.mounts, *(grants.read_only_mounts if mount.get("ReadOnly") is True else ()))
    return mount.get("Type") == "bind" and is_plain and isinstance(source, str) and _within(source, folders)


def _within(path: str, prefixes: Iterable[str]) -> bool:
    """Whether a path is one of these or below it; one that is not plain is none."""
    if not path.startswith("/") or ".." in path.split("/"):
        return False
    pure = posixpath.normpath(path)
    return any(pure == prefix or pure.startswith(prefix.rstrip("/") + "/") for prefix in prefixes)


_REQUIRED: dict[str, Rule] = {
    "CapDrop": _drops_all,
    "SecurityOpt": _no_new_privileges,
    "PidsLimit": _limited_processes,
    # Left out, some engines give the host's.
    "CgroupnsMode": _one_of("CgroupnsMode", "private"),
    "IpcMode": _host_mode("IpcMode", lambda grants: grants.host_ipc, "private", "none"),
}
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("NanoCpus", "Memory", "MemorySwap", "MemoryReservation", "ShmSize", "Tmpfs"), _harmless),
    **dict.fromkeys(("Init", "ReadonlyRootfs", "StorageOpt"), _harmless),
    "Privileged": _privileged,
    "NetworkMode": _host_mode("NetworkMode", lambda grants: grants.host_network, "bridge", "none", "default"),
    "PidMode": _host_mode("PidMode", lambda grants: grants.host_pid),
    "CapAdd": _capabilities,
    "Devices": _devices,
    "DeviceRequests": _gpus,
    "Binds": _binds,
    "Mounts": _mounts,
    "RestartPolicy": _one_of("RestartPolicy", {"Name": "no", "MaximumRetryCount": 0}),
    "LogConfig": _one_of("LogConfig", {"Type": "json-file", "Config": {}}),
}
