"""Where datasets lie in a pod's volume, what is mounted of it, and whether a pod still wants them."""

from __future__ import annotations

import pytest

from launch_jobs.errors import BadInput
from launch_jobs.job import JsonObject
from launch_jobs.targets import RunSpec
from launch_jobs.targets.kubernetes.conditions import Seen
from launch_jobs.targets.kubernetes.data_volume import DATA, awaits_data, data_layout, wants_data, with_data
from launch_jobs.targets.kubernetes.kinds import load_kinds
from launch_jobs.targets.kubernetes.manifest import PodParts, workload


def _spec(*paths: str, files: tuple[str, ...] = ()) -> RunSpec:
    datasets = dict.fromkeys(paths, "/agent/data")
    return RunSpec(
        name="a", image="program", output_dir="/launch/outputs", root="/src", datasets=datasets, dataset_files=files
    )


def test_data_outside_of_the_source_tree_is_read_only() -> None:
    """One mount for all that only a variable names, one for each path of its own."""
    layout = data_layout(_spec("/launch/datasets/a", "/launch/datasets/b", "/data/x.csv", files=("/data/x.csv",)))
    mounts = {one["mountPath"]: (one["subPath"], one["readOnly"]) for one in layout.mounts}
    assert mounts == {"/data/x.csv": ("all/a/0", True), "/launch/datasets": ("all/d", True)}
    assert layout.places["/launch/datasets/b"] == "d/b"


def test_in_the_source_tree_the_program_may_write_beside_its_data() -> None:
    """So the folder around a file is the volume's, and one mount has all that lies below another; the root has none."""
    layout = data_layout(_spec("/src/d/a.csv", "/src/d/e", "/src/one", files=("/src/d/a.csv", "/src/one")))
    assert layout.folders == ("/src/d",)
    assert layout.places == {"/src/d/a.csv": "t/0/a.csv", "/src/d/e": "t/0/e", "/src/one": "a/2"}
    assert [(one["mountPath"], one["readOnly"]) for one in layout.mounts] == [("/src/d", False), ("/src/one", True)]


def test_the_waiting_container_has_the_source_tree_where_it_is_needed() -> None:
    """Else its image is the one that keeps outputs."""
    for path, image in (("/src/d", "program"), ("/launch/datasets/a", "other")):
        [waiter] = with_data(PodParts(), _spec(path), "other").init_containers
        assert waiter["image"] == image
    assert with_data(PodParts(), _spec(), "other") == PodParts()


def _pod(state: JsonObject) -> JsonObject:
    return {"status": {"initContainerStatuses": [{"name": DATA, "state": state}]}}


def test_a_pod_wants_data_until_its_container_has_them() -> None:
    """So does an object of which another pod may come."""
    kind = load_kinds().named("batch/v1", "Job")
    template: JsonObject = {"spec": {"containers": [], "initContainers": [{"name": DATA}]}}
    made: JsonObject = {"spec": {"backoffLimit": 0, "template": template}}
    waits, served = _pod({"running": {}}), _pod({"terminated": {"exitCode": 0}})
    assert awaits_data(waits)
    assert not awaits_data(served)
    assert [wants_data(kind, Seen(made, pods)) for pods in ((), (waits,), (served,))] == [True, True, False]
    again: JsonObject = {"spec": {"backoffLimit": 2, "template": template}}
    two: JsonObject = {"spec": {"completions": 2, "template": template}}
    assert wants_data(kind, Seen(again, (served,)))
    assert wants_data(kind, Seen(two, (served,)))
    assert not wants_data(kind, Seen({"spec": {"template": {"spec": {"containers": []}}}}, (waits,)))


def test_more_than_an_object_holds_is_refused() -> None:
    """It is said by us: the API server would answer that it is ill."""
    manifest: JsonObject = {"apiVersion": "batch/v1", "kind": "Job"}
    spec = _spec().model_copy(update={"manifest": manifest, "command": ("x" * 100_000,) * 11})
    with pytest.raises(BadInput, match="command and variables, in the Job, of this run take 1,1"):
        workload(spec, load_kinds())
