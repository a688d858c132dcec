"""The plan: golden Dockerfiles, and the laws of digests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from build_samples import (
    BASE,
    DIGITS,
    OWN,
    OWN_DOCKERFILE,
    SHELL,
    dockerfile_instructions,
    environments,
    hex_digests,
    jobs,
    law,
)
from hypothesis import assume, given

from launch_jobs.build import BaseImage, BuildPlan
from launch_jobs.build import plan as planning
from launch_jobs.build.plan import BuildOptions, base_reference, plan
from launch_jobs.errors import BadInput
from launch_jobs.job import Environment, ImageSource, Job

GOLDEN = Path(__file__).parent / "golden"
PEM = "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"
OPTIONS = BuildOptions()


def rendered(made: BuildPlan) -> str:
    """A plan as one readable text."""
    files = [f"### {path}\n{text}" for path, text in sorted(made.files.items()) if not path.endswith("install.sh")]
    images = [f"### image {made.environment_tag}\n{made.environment_dockerfile}"] if made.environment_tag else []
    return "\n".join([*files, *images, f"### image {made.tag}\n{made.dockerfile}"])


def compare_golden(name: str, made: BuildPlan) -> None:
    """Compare with the golden file, or write it when LAUNCH_JOBS_GOLDEN=write."""
    file = GOLDEN / f"{name}.dockerfile"
    if os.environ.get("LAUNCH_JOBS_GOLDEN") == "write":
        file.write_text(rendered(made))
    assert rendered(made) == file.read_text()


def test_the_digits_job_is_an_environment_and_a_layer_on_it() -> None:
    """Locked packages, a direct reference, a package in the tree, certificates and an index, as words."""
    options = BuildOptions(package_index="https://pypi.example.org/simple", ca_bundle_pem=PEM)
    compare_golden("digits", plan(DIGITS, BASE, options))


def test_a_program_without_python_is_one_image() -> None:
    """Base, source and command; nothing is installed, nothing is run."""
    compare_golden("shell", plan(SHELL, BASE, OPTIONS))


def test_a_job_with_its_own_dockerfile_keeps_it() -> None:
    """Only working directory, command and labels are added at its end."""
    compare_golden("own", plan(OWN, BASE, OPTIONS, own_dockerfile=OWN_DOCKERFILE))


def test_the_plan_says_where_the_program_runs() -> None:
    """Source root and working directory are absolute; a job's own Dockerfile alone knows its own."""
    digits = plan(DIGITS, BASE, OPTIONS)
    assert (digits.root, digits.workdir) == ("/workspace", "/workspace/examples/digits")
    own = plan(OWN, BASE, OPTIONS, own_dockerfile=OWN_DOCKERFILE)
    assert (own.root, own.workdir) == ("", "")


def test_a_ready_image_is_not_built() -> None:
    """An image job has no plan."""
    with pytest.raises(BadInput, match="ready image"):
        plan(DIGITS.model_copy(update={"source": ImageSource(reference="x")}), BASE, OPTIONS)


@law
@given(jobs)
def test_equal_inputs_give_equal_plans(job: Job) -> None:
    """The plan is a function."""
    assert plan(job, BASE, OPTIONS) == plan(job.model_copy(deep=True), BASE, OPTIONS)


@law
@given(jobs, jobs)
def test_two_jobs_never_share_an_image(one: Job, other: Job) -> None:
    """The image's digest covers the job's."""
    assume(one.digest != other.digest)
    assert plan(one, BASE, OPTIONS).digest != plan(other, BASE, OPTIONS).digest


@law
@given(jobs, jobs)
def test_jobs_with_one_environment_share_its_image(one: Job, other: Job) -> None:
    """Source and command do not reach the environment's digest."""
    other = other.model_copy(update={"environment": one.environment})
    assert plan(one, BASE, OPTIONS).environment_tag == plan(other, BASE, OPTIONS).environment_tag


@law
@given(environments, environments)
def test_other_packages_are_another_environment(one: Environment, other: Environment) -> None:
    """Python version and every package version reach the environment's digest."""
    assume(one != other and set(one.distributions) != set(other.distributions))
    plans = [plan(DIGITS.model_copy(update={"environment": found}), BASE, OPTIONS) for found in (one, other)]
    assert plans[0].environment_digest != plans[1].environment_digest


@law
@given(jobs, hex_digests)
def test_a_moved_base_is_another_image(job: Job, identity: str) -> None:
    """The base's identity, not only its name, reaches both digests."""
    assume(identity != BASE.identity)
    one, other = (plan(job, base, OPTIONS) for base in (BASE, BaseImage(reference=BASE.reference, identity=identity)))
    assert one.digest != other.digest
    assert one.environment_digest != other.environment_digest


@pytest.mark.parametrize(
    "options",
    [
        BuildOptions(package_index="https://pypi.example.org/simple"),
        BuildOptions(ca_bundle_pem=PEM),
        BuildOptions(platform="linux/arm64"),
    ],
    ids=["index", "certificates", "platform"],
)
@pytest.mark.parametrize("job", [DIGITS, SHELL], ids=["digits", "shell"])
def test_options_that_decide_content_reach_the_digest(job: Job, options: BuildOptions) -> None:
    """Another index, other certificates or another platform are another image, where they matter."""
    if job is SHELL and options.package_index:
        assert plan(job, BASE, options).digest == plan(job, BASE, OPTIONS).digest
    else:
        assert plan(job, BASE, options).digest != plan(job, BASE, OPTIONS).digest


@pytest.mark.parametrize(
    "options", [BuildOptions(network="host"), BuildOptions(base_image="other:1")], ids=["network", "base"]
)
def test_options_that_decide_no_content_do_not(options: BuildOptions) -> None:
    """How a build reaches the network changes nothing; the base counts as it was resolved."""
    assert plan(DIGITS, BASE, options) == plan(DIGITS, BASE, OPTIONS)


def test_another_planner_is_another_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """Raising the planner's version makes every image anew."""
    before = plan(DIGITS, BASE, OPTIONS)
    monkeypatch.setattr(planning, "PLANNER", planning.PLANNER + 1)
    after = plan(DIGITS, BASE, OPTIONS)
    assert after.digest != before.digest
    assert after.environment_digest != before.environment_digest


@law
@given(jobs)
def test_no_job_adds_an_instruction(job: Job) -> None:
    """Whatever the command holds, both Dockerfiles have exactly the instructions that we wrote."""
    made = plan(job, BASE, OPTIONS)
    assert dockerfile_instructions(made.environment_dockerfile) == ["FROM", "USER", "COPY", "RUN", "ENV", "LABEL"]
    expected = ["FROM", "COPY", "WORKDIR", "ENV", "USER", "ENTRYPOINT", "CMD", "LABEL"]
    assert dockerfile_instructions(made.dockerfile) == expected
    assert not set(made.dockerfile + made.environment_dockerfile) & set("\r\x0b\x0c\x85\u2028\u2029")


@pytest.mark.parametrize("reference", ["python:3\nRUN evil", "python:3 AS x", "--platform=x python", ""])
def test_no_base_adds_an_instruction(reference: str) -> None:
    """A base that is no image reference is refused, wherever it comes from."""
    with pytest.raises(BadInput):
        plan(DIGITS, BaseImage(reference=reference, identity=BASE.identity), OPTIONS)
    with pytest.raises(BadInput):
        base_reference(DIGITS.model_copy(update={"base_image": reference or " "}), OPTIONS)


def test_the_jobs_base_comes_before_the_options_and_pythons() -> None:
    """Precedence: job, options, the slim image of the job's Python."""
    options = BuildOptions(base_image="queue/base:2")
    own = DIGITS.model_copy(update={"base_image": "team/base:1"})
    assert base_reference(own, options) == "team/base:1"
    assert base_reference(DIGITS, options) == "queue/base:2"
    assert base_reference(DIGITS, OPTIONS) == "docker.io/library/python:3.11-slim"


def test_the_base_of_an_own_dockerfile_is_read_from_it() -> None:
    """Nothing else has a say."""
    assert base_reference(OWN, BuildOptions(base_image="x"), own_dockerfile=OWN_DOCKERFILE) == "debian:bookworm-slim"


def test_an_own_dockerfile_without_a_base_is_refused() -> None:
    """An empty or missing Dockerfile builds nothing."""
    with pytest.raises(BadInput, match="no FROM"):
        base_reference(OWN, OPTIONS, own_dockerfile="# nothing\n")
