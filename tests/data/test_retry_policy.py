"""Which ends are followed by another attempt: five classes, each counted for itself."""

from __future__ import annotations

import pytest

from launch_jobs.run import Reason, Retry, RetryPolicy, next_attempt

POLICY = RetryPolicy(failures=1, memory=5, timeouts=2, infrastructure=3, preemptions=4)


@pytest.mark.parametrize(
    ("reason", "limit", "at_head"),
    [
        (Reason.EXITED, 1, False),
        (Reason.OUT_OF_MEMORY, 5, False),
        (Reason.TIMEOUT, 2, False),
        (Reason.INFRASTRUCTURE, 3, True),
        (Reason.START_DEADLINE, 3, True),
        (Reason.PREEMPTED, 4, True),
    ],
)
def test_each_class_has_its_own_number(reason: Reason, limit: int, at_head: bool) -> None:
    """As many attempts follow as its class has left; a run goes to the head only if its program is not to blame."""
    for number in range(1, limit + 1):
        retry = next_attempt(POLICY, reason, (reason,) * (number - 1))
        assert retry == Retry(number=number, limit=limit, at_head=at_head)
    assert next_attempt(POLICY, reason, (reason,) * limit) is None


def test_other_classes_use_nothing_up() -> None:
    """A run that lost three machines still has its one try after a failure."""
    lost = (Reason.INFRASTRUCTURE, Reason.START_DEADLINE, Reason.INFRASTRUCTURE)
    earlier = (*lost, Reason.TIMEOUT, Reason.PREEMPTED, *(Reason.OUT_OF_MEMORY,) * 5)
    assert next_attempt(POLICY, Reason.EXITED, earlier) == Retry(number=1, limit=1, at_head=False)
    assert next_attempt(POLICY, Reason.OUT_OF_MEMORY, (*earlier, Reason.EXITED)) is None
    assert next_attempt(POLICY, Reason.INFRASTRUCTURE, earlier) is None


def test_a_cancelled_run_stays_so() -> None:
    """Whatever the policy."""
    assert next_attempt(POLICY, Reason.CANCELLED, ()) is None
