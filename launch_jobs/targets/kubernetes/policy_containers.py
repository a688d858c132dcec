"""What a container of a pod may have: the Restricted standard's rules for one, and Secrets in variables. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import JsonValue

from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.grants import ClusterGrants
from launch_jobs.targets.kubernetes.paths import first, items

_SELINUX_TYPES = (None, "", "container_t", "container_init_t", "container_kvm_t", "container_engine_t")
_PROFILES = ("RuntimeDefault", "Localhost")


def container_refusals(
    container: JsonObject, grants: ClusterGrants, own_secrets: frozenset[str], *, pod_security: JsonObject
) -> Iterator[str]:
    """Everything that is not granted, each in a few words."""
    own = container.get("securityContext")
    security: JsonObject = own if isinstance(own, dict) else {}
    yield from _power_refusals(security, grants)
    yield from _user_refusals({**pod_security, **security}, grants)
    yield from _profile_refusals({**pod_security, **security}, grants)
    for port in items(container, "ports"):
        if port.get("hostPort") and not grants.host_network:
            yield f"hostPort {port['hostPort']}"
    yield from _secret_refusals(container, (*grants.secrets, *own_secrets))


def shared_refusals(security: JsonObject, grants: ClusterGrants) -> Iterator[str]:
    """What no pod may say for all of its containers, even if each of them says otherwise for itself."""
    if security.get("runAsUser") == 0:
        yield from _user_refusals(security, grants)
    yield from _profile_refusals({"seccompProfile": {"type": _PROFILES[0]}, **security}, grants)


def _power_refusals(security: JsonObject, grants: ClusterGrants) -> Iterator[str]:
    if grants.privileged:
        return
    if security.get("privileged"):
        yield "privileged"
    if security.get("allowPrivilegeEscalation") is not False:
        yield "allowPrivilegeEscalation"
    if security.get("procMount") not in (None, "Default"):
        yield f"procMount {security['procMount']}"
    dropped = first(security, "capabilities.drop")
    if not isinstance(dropped, list) or "ALL" not in dropped:
        yield "capabilities that are not dropped (capabilities.drop: [ALL])"
    for name in _list(first(security, "capabilities.add")):
        if str(name).upper().removeprefix("CAP_") not in grants.capabilities:
            yield f"the capability {str(name)[:80]}"


def _user_refusals(security: JsonObject, grants: ClusterGrants) -> Iterator[str]:
    if grants.root or grants.privileged:
        return
    if security.get("runAsUser") == 0:
        yield "root (runAsUser: 0)"
    elif security.get("runAsNonRoot") is not True:
        yield "containers that may run as root (runAsNonRoot)"


def _profile_refusals(security: JsonObject, grants: ClusterGrants) -> Iterator[str]:
    if grants.privileged:
        return
    if first(security, "seccompProfile.type") not in _PROFILES:
        yield "a container without seccompProfile"
    if first(security, "appArmorProfile.type") == "Unconfined":
        yield "appArmorProfile Unconfined"
    if first(security, "windowsOptions.hostProcess"):
        yield "hostProcess"
    options = security.get("seLinuxOptions")
    if isinstance(options, dict) and (
        options.get("type") not in _SELINUX_TYPES or options.get("user") or options.get("role")
    ):
        yield "seLinuxOptions"


def _secret_refusals(container: JsonObject, granted: tuple[str, ...]) -> Iterator[str]:
    references = [first(one, "valueFrom.secretKeyRef.name") for one in items(container, "env")]
    references += [first(one, "secretRef.name") for one in items(container, "envFrom")]
    for name in references:
        if name is not None and name not in granted:
            yield f"the Secret {str(name)[:80]}"


def _list(value: JsonValue) -> list[JsonValue]:
    return value if isinstance(value, list) else []
