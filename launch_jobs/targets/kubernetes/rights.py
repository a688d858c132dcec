"""Whether an agent's account may do in a namespace what its runs need, asked before anything of them is made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from launch_jobs.cluster import Cluster, Forbidden
from launch_jobs.job import JsonObject

_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews"


@dataclass(frozen=True, slots=True)
class Right:
    """What is done with one kind of resource; without `watch` of it all works, but slower."""

    group: str
    resource: str
    verbs: tuple[str, ...]

    def rule(self, verbs: tuple[str, ...]) -> str:
        """A rule of a Role that gives these of the verbs."""
        return f'{{apiGroups: ["{self.group}"], resources: ["{self.resource}"], verbs: {json.dumps(verbs)}}}'


WORKLOAD = ("create", "get", "list", "delete")
_PODS = (
    Right("", "pods", ("list", "delete")),
    Right("", "pods/log", ("get",)),
    Right("", "pods/exec", ("get",)),
)


async def check_rights(cluster: Cluster, namespace: str, *needed: Right) -> None:
    """Look whether an account has these rights in a namespace, and those on pods that all runs need.

    Raises:
        Forbidden: it cannot; with all the rules that are missing.
    """
    body: JsonObject = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    try:
        told = await cluster.create(_REVIEWS, body)
    except Forbidden:  # then each call will tell
        return
    if rules := list(missing_rules(cast("JsonObject", told.get("status") or {}), (*needed, *_PODS))):
        raise Forbidden(
            f"Kubernetes would refuse this agent's account a part of its work in the namespace {namespace!r}",
            do=f"Give it these rules there: {', '.join(rules)}",
        )


def missing_rules(status: JsonObject, needed: tuple[Right, ...]) -> Iterator[str]:
    """The rules that are needed and not among those of a review; none where it does not know all. Pure."""
    if status.get("incomplete"):
        return
    rules = cast("list[JsonObject]", status.get("resourceRules") or [])
    for right in needed:
        lacks = tuple(verb for verb in right.verbs if not any(_gives(rule, right, verb) for rule in rules))
        if lacks:
            yield right.rule(lacks)


def _gives(rule: JsonObject, right: Right, verb: str) -> bool:
    if rule.get("resourceNames"):
        return False
    wanted = {"verbs": verb, "apiGroups": right.group, "resources": right.resource}
    return all({one, "*"} & set(map(str, cast("list[str]", rule.get(key) or []))) for key, one in wanted.items())
