"""Values that a submission gives stay on the server: secrets of a known shape are refused, and never shown."""

from __future__ import annotations

import random
import string

import pytest

from launch_jobs.capture.secret_given import check_given
from launch_jobs.errors import Refused
from launch_jobs.job import Inputs, JsonObject, Overrides
from launch_jobs.submission import Submission, resolve_parameters


def drawn(count: int, letters: str = string.ascii_letters + string.digits) -> str:
    """Letters drawn by chance, the same every time; never written down, so that no scanner finds this file."""
    return "".join(random.Random(5).choices(letters, k=count))


TOKEN = "hf_" + drawn(34)
GIVEN: dict[str, tuple[Overrides, JsonObject]] = {
    "-p hub": (Overrides(), {"hub": TOKEN}),
    "-p nested": (Overrides(), {"nested": {"deep": [1, TOKEN]}}),
    "--env HF_TOKEN": (Overrides(env={"HF_TOKEN": TOKEN}), {}),
    "--env WANDB_API_KEY": (Overrides(env={"WANDB_API_KEY": drawn(40, "0123456789abcdef")}), {}),
    "--env DB": (Overrides(env={"DB": "postgresql://admin:hunter2@db.internal/prod"}), {}),
    "--arg word": (Overrides(args=("--token", TOKEN)), {}),
    "--entrypoint word": (Overrides(entrypoint=("python", "a.py", TOKEN)), {}),
}


@pytest.mark.parametrize("where", GIVEN)
def test_a_secret_is_refused_where_it_was_given(where: str) -> None:
    """The option is named, and what to do; the value is not."""
    overrides, parameters = GIVEN[where]

    with pytest.raises(Refused, match=f"^{where} holds a secret") as raised:
        check_given(overrides, parameters)
    assert raised.value.exit_code == 3
    assert "queue" in raised.value.do
    assert TOKEN not in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_what_is_no_secret_is_let_through() -> None:
    """References to variables, placeholders, digests, ordinary values."""
    environment = {
        "HF_TOKEN": "$HF_TOKEN",
        "WANDB_MODE": "offline",
        "DB": "postgresql://postgres:postgres@localhost/test",
        "COMMIT": drawn(40, "0123456789abcdef"),
    }
    check_given(Overrides(env=environment, args=("--lr", "0.1")), {"pad_token": "<pad>", "lr": 0.1, "none": None})


def test_a_submission_is_judged_before_it_is_sent() -> None:
    """By command line and by Python alike."""
    schema: JsonObject = {"type": "object", "properties": {"hub": {"type": "string"}}, "additionalProperties": False}
    submission = Submission(job="digits", parameter_texts={"hub": TOKEN})

    with pytest.raises(Refused, match="-p hub holds a secret"):
        resolve_parameters(Inputs(parameters_schema=schema), submission, {})
