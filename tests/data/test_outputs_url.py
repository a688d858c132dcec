"""`outputs://…`: read as written, and nothing else taken for one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launch_jobs.errors import BadInput
from launch_jobs.run import OutputsUrl, RunInfo, RunState

RUN = "0199d3a1-7c5e-7bb2-9d1e-0123456789ab"
PART = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1).filter(
    lambda part: part not in {".", ".."}
)


@given(st.integers(1, 10**8), st.lists(PART, max_size=3))
def test_a_url_is_read_as_it_was_written(attempt: int, parts: list[str]) -> None:
    """Any path of an output, also with blanks, `%` or `?`, comes back unchanged."""
    url = OutputsUrl(run=RUN, attempt=attempt, path="/".join(parts))
    assert OutputsUrl.parse(str(url)) == url


def test_a_folder_may_end_with_a_slash() -> None:
    """All outputs and a folder of them may be written with a slash at the end."""
    assert OutputsUrl.parse(f"outputs://{RUN}/1/").path == ""
    assert OutputsUrl.parse(f"outputs://{RUN}/1/a/").path == "a"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "outputs://",
        f"outputs://{RUN}",
        f"outputs://{RUN}/0",
        f"outputs://{RUN}/01",
        f"outputs://{RUN}/latest",
        "outputs://../1/model",
        f"outputs://{RUN}/1//model",
        f"outputs://{RUN}/1/a/../../b",
        f"outputs://{RUN}/1/a\0b",
        f"s3://{RUN}/1",
        "model.joblib",
    ],
)
def test_what_is_no_url_is_refused(text: str) -> None:
    """Anything else is refused in words that show the form."""
    with pytest.raises(BadInput, match="outputs://<run id>/<attempt>"):
        OutputsUrl.parse(text)


def test_a_run_names_its_outputs() -> None:
    """A run that is over names what it left; one that is not over refuses."""
    over = RunInfo(id=RUN, name="n", state=RunState.FAILED, state_name="Failed", job=None, queue=None, attempt=2)
    assert over.output_url("a/b") == f"outputs://{RUN}/2/a/b"
    assert over.output_url() == f"outputs://{RUN}/2"
    with pytest.raises(BadInput, match="left nothing yet"):
        over.model_copy(update={"state": RunState.RUNNING}).output_url()
    with pytest.raises(BadInput, match="left nothing yet"):
        over.model_copy(update={"attempt": None}).output_url()
