"""Names and digests hold what they promise, for any input."""

from __future__ import annotations

import json
import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.errors import BadInput
from launch_jobs.names import JobRef, attempt_name, canonical_json, check_name, digest_of, slug

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(VALUES)
def test_canonical_json_says_the_value_and_is_stable(value: object) -> None:
    """Reading it back gives the value; writing that again gives the same bytes."""
    text = canonical_json(value)  # pyright: ignore[reportArgumentType] - the strategy makes JSON values
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_a_digest_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    """Two objects that are equal have one digest."""
    turned = dict(reversed(list(value.items())))
    assert digest_of({**value}) == digest_of({**turned})


def test_no_number_that_json_lacks_is_written() -> None:
    """NaN has no digest."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))


@given(st.text())
def test_a_slug_is_always_a_valid_name(text: str) -> None:
    """Any script's stem becomes a job name."""
    assert check_name("job", slug(text)) == slug(text)


@given(st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,20}[a-z0-9])?", fullmatch=True))
def test_a_valid_name_is_its_own_slug(name: str) -> None:
    """What is a name already is not changed."""
    assert slug(name) == name


@pytest.mark.parametrize("text", ["", "A", "a b", "-a", "a-", "a/b", "ä", "a" * 64, "a\n", "..", "a:b"])
def test_what_cannot_be_a_name_is_refused(text: str) -> None:
    """One line says the rule."""
    with pytest.raises(BadInput, match="cannot name a job"):
        check_name("job", text)


@pytest.mark.parametrize("text", ["train", "train:v0", "train:best", f"train@sha256:{'a' * 64}"])
def test_a_reference_says_what_was_written(text: str) -> None:
    """Parsing and writing again gives the reference, `latest` where none was named."""
    assert str(JobRef.parse(text)) == (text if text != "train" else "train:latest")


@pytest.mark.parametrize("text", ["", ":v1", "train:", "train:V1", "train@", "train@sha256:abc", "a:b:c", "Train"])
def test_what_is_no_reference_is_refused(text: str) -> None:
    """Each malformed reference is bad input."""
    with pytest.raises(BadInput):
        JobRef.parse(text)


@given(st.uuids(), st.integers(1, 10**6), st.uuids(), st.integers(1, 10**6))
def test_attempts_have_names_of_their_own(one: UUID, first: int, other: UUID, second: int) -> None:
    """Two attempts share a name only if they are the same; each can name a container and a Kubernetes object."""
    names = attempt_name(str(one), first), attempt_name(str(other), second)
    assert (names[0] == names[1]) == ((one, first) == (other, second))
    assert all(re.fullmatch(r"[a-z0-9-]{1,63}", name) for name in names)
