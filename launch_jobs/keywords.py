"""How Python says a submission: keyword arguments, for the API and the tasks alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypedDict

from pydantic import ValidationError

from launch_jobs.errors import BadInput
from launch_jobs.job import JobVersion, JsonObject, Overrides
from launch_jobs.submission import Submission

_OF_SUBMISSION = ("queue", "variables", "priority", "name", "key", "parent")


class HasOutputs(Protocol):
    """A run that is over: what it left can be another run's dataset."""

    def output_url(self, path: str = "") -> str:
        """`outputs://…` of all it left, or of a file or folder of it."""
        ...


class Keywords(TypedDict, total=False):
    """What a run can be told, besides its job; None is as good as not given.

    Attributes:
        queue: None: the job's default queue.
        parameters: hyperparameters; what is not given keeps its captured value.
        variables: job variables (resources), as the queue declares them.
        args: appended to the command.
        env: environment variables of the program.
        entrypoint: replaces the job's command.
        datasets: name → a run that is over, or the `output_url` of one.
        timeout_s: maximum runtime in seconds.
        retries: further attempts after one that failed or crashed.
        priority: critical, high, medium or low.
        name: the run's name.
        key: idempotency key: the same key is the same run.
    """

    queue: str | None
    parameters: JsonObject | None
    variables: JsonObject | None
    args: Sequence[str] | None
    env: Mapping[str, str] | None
    entrypoint: Sequence[str] | None
    datasets: Mapping[str, str | HasOutputs] | None
    timeout_s: float | None
    retries: int | None
    priority: str | None
    name: str | None
    key: str | None


def submission_of(job: str | JobVersion, keywords: Keywords, **more: str | None) -> Submission:
    """A submission from what a Python caller gave.

    Raises:
        BadInput: a keyword is unknown, or its value is of another kind; or a dataset's run is not over.
    """
    given: dict[str, object] = {name: value for name, value in {**keywords, **more}.items() if value is not None}
    datasets = keywords.get("datasets") or {}
    given["datasets"] = {name: one if isinstance(one, str) else one.output_url() for name, one in datasets.items()}
    own = {name: given.pop(name) for name in _OF_SUBMISSION if name in given}
    reference = job.reference if isinstance(job, JobVersion) else job
    try:
        return Submission.model_validate({"job": reference, "overrides": Overrides.of(**given), **own})
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
