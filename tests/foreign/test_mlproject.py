"""MLflow projects become jobs: entry points, parameters, environments."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from foreign.mlflow_samples import MLPROJECT, elastic_net

from launch_jobs.arguments import check_parameters, render_arguments
from launch_jobs.errors import BadInput, CaptureError
from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.job import JobVersion, JsonObject
from launch_jobs.store.jobs import JobStore


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The sample project."""
    return elastic_net(tmp_path / "project")


def imported(project: Path, store: JobStore, entry_point: str | None = None) -> JobVersion:
    """The job of an entry point."""
    return import_folder(project, Asked(store, entry_point)).version


def said(version: JobVersion, project: Path, parameters: JsonObject) -> list[list[str]]:
    """Run a job's command here; the arguments that its program got, call by call."""
    complete = check_parameters(version.job.inputs, parameters)
    argv = [*version.job.entrypoint.argv, *render_arguments(version.job.inputs, complete)]
    done = subprocess.run(argv, cwd=project, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line.partition(" ")[2]) for line in done.stdout.splitlines()]


TITLE = 'a "b" $HOME `c` \\'


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, ["0.5", "0.1", "--data=wine data.csv", "--title", f"<{TITLE}>", TITLE]),
        ({"l1_ratio": 0.2}, ["0.5", "0.2", "--data=wine data.csv", "--title", f"<{TITLE}>", TITLE]),
        (
            {"title": "$(touch x)'\"; y"},
            ["0.5", "0.1", "--data=wine data.csv", "--title", "<$(touch x)'\"; y>", "$(touch x)'\"; y"],
        ),
        ({"alpha": -1e-05, "data": ""}, ["-0.00001", "0.1", "--data=", "--title", f"<{TITLE}>", TITLE]),
    ],
)
def test_values_take_their_places(project: Path, store: JobStore, parameters: JsonObject, expected: list[str]) -> None:
    """In order, whatever letters they have; nothing of a value is read as code."""
    assert said(imported(project, store), project, parameters) == [expected]
    assert not (project / "x").exists()


def test_another_entry_point(project: Path, store: JobStore) -> None:
    """Its own name, its own parameters, all of its commands; one without a default is required."""
    version = imported(project, store, "validate")
    assert version.name == "elastic-net-validate"
    with pytest.raises(BadInput, match="'model' is required"):
        check_parameters(version.job.inputs, {})
    assert said(version, project, {"model": "s3://b/m"}) == [["validate", "s3://b/m", "3"], ["done"]]


def test_a_script_is_an_entry_point(project: Path, store: JobStore) -> None:
    """As MLflow has it."""
    assert said(imported(project, store, "show.py"), project, {}) == [[]]


def test_an_unknown_entry_point_names_those_there_are(project: Path, store: JobStore) -> None:
    """Before anything is captured."""
    with pytest.raises(BadInput, match=r"'fit'.*main, validate"):
        imported(project, store, "fit")


def test_types_defaults_and_names(project: Path, store: JobStore) -> None:
    """As JSON schema, for -p to be checked by."""
    version = imported(project, store)
    schema = version.job.inputs.parameters_schema
    assert version.label == "elastic-net:v0"
    assert version.origin.notes[0] == "imported from the MLflow project Elastic Net"
    assert schema["properties"] == {
        "alpha": {"type": "number", "default": 0.5},
        "l1_ratio": {"type": "number", "default": 0.1},
        "data": {"type": "string", "default": "wine data.csv", "description": "MLflow type path"},
        "title": {"type": "string", "default": TITLE},
    }


def test_python_env(project: Path, store: JobStore) -> None:
    """Its Python, and its requirements through `-r`."""
    environment = imported(project, store).job.environment
    assert environment.python == "3.11"
    assert [(one.name, one.version) for one in environment.distributions] == [("six", "1.16.0")]


def test_loose_requirements_are_resolved(project: Path, store: JobStore) -> None:
    """To exact versions, with what they need."""
    (project / "requirements.txt").write_text("python-dateutil>=2.8,<2.9.1  # dates\n")
    found = {one.name: one.version for one in imported(project, store).job.environment.distributions}
    assert found.keys() == {"python-dateutil", "six"}
    assert found["python-dateutil"] == "2.9.0.post0"


def test_requirements_that_nothing_satisfies_are_said(project: Path, store: JobStore) -> None:
    """By uv's own words."""
    (project / "requirements.txt").write_text("six>=99\n")
    with pytest.raises(CaptureError, match="six"):
        imported(project, store)


def test_conda(project: Path, store: JobStore) -> None:
    """Python, conda's packages by the index's names, pip's as they are; each change is said."""
    (project / "MLproject").write_text(MLPROJECT.replace("python_env: python_env.yaml", "conda_env: conda.yaml"))
    packages = (
        "name: x\nchannels: [defaults]\ndependencies: [python=3.11.4, pip, conda-forge::six=1.16, pip: [idna==3.7]]\n"
    )
    (project / "conda.yaml").write_text(packages)
    version = imported(project, store)
    assert version.job.environment.python == "3.11.4"
    found = {one.name: one.version for one in version.job.environment.distributions}
    assert found == {"idna": "3.7", "six": "1.16.0"}
    assert version.origin.notes[-1] == "conda's conda-forge::six=1.16 is taken from the package index as six==1.16.*"


def test_docker_env(project: Path, store: JobStore) -> None:
    """Its image is the base; its variables are set, and what cannot be is said."""
    docker = 'docker_env: {image: "me/base:1", volumes: ["/data:/data"], environment: [["A", "it\'s"], "B"]}'
    (project / "MLproject").write_text(MLPROJECT.replace("python_env: python_env.yaml", docker))
    version = imported(project, store)
    assert (version.job.base_image, version.job.environment.python) == ("me/base:1", None)
    (project / "show.py").write_text("import json, os\nprint('A', json.dumps([os.environ['A']]))\n")
    assert said(version, project, {}) == [["it's"]]
    assert any("/data:/data" in note for note in version.origin.notes)
    assert any("--env B=" in note for note in version.origin.notes)


def test_a_project_in_a_repository_runs_in_its_folder(project: Path, store: JobStore) -> None:
    """The source is the repository, as `launch run` has it."""
    for words in (["init", "-q"], ["add", "-A"], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=project.parent, check=True)
    version = imported(project, store)
    assert (version.job.source.type, version.job.entrypoint.directory) == ("git", "project")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: [", "no readable YAML"),
        ("- a", "its top"),
        ("entry_points: {main: {command: 3}}", "entry_points.main.command"),
        ("entrypoints: {}", "entrypoints"),
        ("python_env: a\nconda_env: b", "more than one environment"),
        ("databricks_spark_job: {python_file: x}", "Databricks"),
        ("entry_points: {main: {command: 'python {x}'}}", "names {x}"),
        ("entry_points: {main: {command: 'python {'}}", "no template"),
        ("entry_points: {main: {command: 'x {a}', parameters: {a: {type: float, default: b}}}}", "'b' of 'a'"),
        ("python_env: no.yaml\nentry_points: {main: {command: x}}", r"no\.yaml"),
    ],
)
def test_a_project_that_is_none_says_where(project: Path, store: JobStore, text: str, reason: str) -> None:
    """And nothing is kept."""
    (project / "MLproject").write_text(text)
    with pytest.raises(BadInput, match=reason):
        imported(project, store)
    assert store.names() == []
