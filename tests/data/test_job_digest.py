"""What is in a job's digest, and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from launch_jobs.errors import BadInput
from launch_jobs.job import (
    CodeSource,
    Distribution,
    Entrypoint,
    Environment,
    Inputs,
    Job,
    Option,
    TreeEntry,
    tree_digest,
)
from launch_jobs.names import sha256
from launch_jobs.run import Outcome, Place, Reason, RunState

JOB = Job(
    source=CodeSource(tree=sha256(b"tree")),
    entrypoint=Entrypoint(argv=("python", "train.py")),
    environment=Environment(python="3.11.7", distributions=(Distribution(name="numpy", version="2.0.0"),)),
)
CHANGES: list[dict[str, object]] = [
    {"source": CodeSource(tree=sha256(b"other"))},
    {"entrypoint": Entrypoint(argv=("python", "other.py"))},
    {"entrypoint": Entrypoint(argv=("python", "train.py"), directory="sub")},
    {"environment": Environment(python="3.12.0")},
    {"environment": Environment(python="3.11.7", distributions=(Distribution(name="numpy", version="2.0.1"),))},
    {"inputs": Inputs(options=(Option(name="lr", flag="--lr"),))},
    {"base_image": "other"},
]


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_decides_the_result_changes_the_digest(change: dict[str, object]) -> None:
    """Source, entrypoint, environment, schema and base each count."""
    assert JOB.model_copy(update=change).digest != JOB.digest


def test_a_job_read_back_has_the_same_digest() -> None:
    """Writing and reading a manifest does not change what it names."""
    assert Job.model_validate_json(JOB.model_dump_json()).digest == JOB.digest


def test_the_digest_of_this_manifest_stays_what_it_is() -> None:
    """A change of the schema that renames every stored job must be made on purpose, with a new schema version."""
    assert JOB.digest == "sha256:a7e8071b7b85b027ffc9f977cc1b52069a6baad8f17ccf64579231161ece5969"


def test_a_field_of_a_newer_schema_is_refused() -> None:
    """What we do not understand is not dropped silently."""
    with pytest.raises(ValidationError):
        Job.model_validate({**JOB.model_dump(), "later": 1})


ENTRIES = st.lists(
    st.builds(
        TreeEntry, path=st.text(min_size=1), mode=st.sampled_from(["644", "755", "link"]), digest=st.just(sha256(b""))
    ),
    unique_by=lambda entry: entry.path,
)


@given(ENTRIES, st.randoms())
def test_the_digest_of_a_tree_does_not_depend_on_the_order_of_reading(entries: list[TreeEntry], random: object) -> None:
    """Two listings of one tree have one digest."""
    shuffled = entries[:]
    random.shuffle(shuffled)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType] - a Random
    assert tree_digest(shuffled) == tree_digest(entries)


@pytest.mark.parametrize("url", ["docker://engine/lj-1-a1", "process://host//home/me/runs/lj-1-a1", "k8s://c/ns/name"])
def test_a_place_says_what_was_written(url: str) -> None:
    """Parsing and writing again gives the place."""
    assert str(Place.parse(url)) == url


@pytest.mark.parametrize("url", ["", "docker://", "docker://engine", "docker://engine/", "nothing"])
def test_what_is_no_place_is_refused(url: str) -> None:
    """Each malformed place is bad input."""
    with pytest.raises(BadInput):
        Place.parse(url)


@pytest.mark.parametrize(
    ("reason", "code", "state"),
    [
        (Reason.EXITED, 0, RunState.COMPLETED),
        (Reason.EXITED, 1, RunState.FAILED),
        (Reason.CANCELLED, 0, RunState.CANCELLED),
        (Reason.TIMEOUT, 143, RunState.FAILED),
        (Reason.OUT_OF_MEMORY, 137, RunState.FAILED),
        (Reason.INFRASTRUCTURE, None, RunState.CRASHED),
    ],
)
def test_the_terminal_state_tells_the_end(reason: Reason, code: int | None, state: RunState) -> None:
    """Lost infrastructure is never the user's failure, and exit 0 alone is success."""
    outcome = Outcome(run="r", attempt=1, place="p", reason=reason, exit_code=code, message="m", ended="now")
    assert outcome.state is state
