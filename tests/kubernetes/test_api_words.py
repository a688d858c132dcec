"""What an API server says when it refuses, as our errors; and which rights an account lacks. Pure."""

from __future__ import annotations

import pytest

from launch_jobs.cluster import Forbidden, OverQuota
from launch_jobs.cluster.failures import Overloaded, error_of
from launch_jobs.errors import BadInput, LaunchError, Refused, Unavailable
from launch_jobs.job import JsonObject
from launch_jobs.targets.kubernetes.rights import WORKLOAD, Right, missing_rules

_ACCOUNT = 'jobs.batch is forbidden: User "a" cannot create resource "jobs" in API group "batch" in the namespace "n"'
_POLICY = "jobs.batch \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"
SAID: dict[str, tuple[int, str, str, type[LaunchError], str]] = {
    # status, message, Retry-After; what it is, and what its message holds
    "unknown account": (401, "Unauthorized", "", Unavailable, "Renew the kubeconfig or token"),
    "no right": (403, _ACCOUNT, "", Forbidden, 'apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"]'),
    "quota": (403, "exceeded quota: q, requested: count/jobs.batch=1", "", OverQuota, "count/jobs.batch=1"),
    "pod security": (403, 'violates PodSecurity "restricted:latest"', "", Refused, "violates PodSecurity"),
    "webhook": (400, 'admission webhook "w" denied the request: no', "", Refused, "denied the request"),
    "policy": (422, _POLICY, "", Refused, "denied request: no"),
    "invalid": (422, "spec.template: Required value", "", BadInput, "Required value"),
    "too many": (429, "too many requests", "7", Overloaded, "too many"),
    "too many, without a time": (429, "too many requests", "", Unavailable, "too many"),
    "webhook is away": (500, "failed calling webhook", "", Unavailable, "failed calling webhook"),
}


@pytest.mark.parametrize("name", SAID)
def test_an_answer_is_one_of_our_errors(name: str) -> None:
    """By its status and its words; what passes by itself is `Unavailable`, and asked again."""
    status, message, after, kind, holds = SAID[name]
    error = error_of({"message": message}, status, "/p", after=after)
    assert type(error) is kind
    assert holds in str(error)
    assert not isinstance(error, Overloaded) or error.after_s == 7


def _rule(group: str, resources: list[str], verbs: list[str], **more: list[str]) -> JsonObject:
    return {
        "apiGroups": [group],
        "resources": list(resources),
        "verbs": list(verbs),
        **{k: list(v) for k, v in more.items()},
    }


NEEDED = (Right("batch", "jobs", WORKLOAD), Right("", "pods/exec", ("get",)))
ALL = _rule("batch", ["jobs"], ["create", "get", "list", "watch", "delete"])


@pytest.mark.parametrize(
    ("rules", "lacks"),
    [
        ([], ['resources: ["jobs"], verbs: ["create", "get", "list", "delete"]', '"pods/exec"]']),
        ([ALL], ['apiGroups: [""], resources: ["pods/exec"], verbs: ["get"]']),
        ([ALL, _rule("", ["pods", "pods/exec"], ["get"])], []),
        ([_rule("*", ["*"], ["*"])], []),
        ([ALL, _rule("", ["pods/exec"], ["get"], resourceNames=["one"])], ['"pods/exec"']),
    ],
)
def test_missing_rights_are_the_rules_to_add(rules: list[JsonObject], lacks: list[str]) -> None:
    """None for an account that may do all."""
    found = list(missing_rules({"resourceRules": list(rules)}, NEEDED))
    assert len(found) == len(lacks)
    assert all(one in rule for one, rule in zip(lacks, found, strict=True))


def test_a_review_that_does_not_know_all_lacks_nothing() -> None:
    """A cluster may have further judges of accounts."""
    assert not list(missing_rules({"incomplete": True, "resourceRules": []}, NEEDED))
