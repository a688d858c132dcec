"""What a run leaves, as outputs and metrics."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launch_jobs.results import gather_outputs, paths_to_collect, read_metrics


def _write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_json", ".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_paths_below_the_working_directory_are_told_relative_to_it(tmp_path: Path) -> None:
    """A file the program wrote beside itself has the name it wrote it by."""
    folder = _write(tmp_path, examples__digits__model="m", elsewhere="e")
    outputs, paths = gather_outputs(folder, "examples/digits", 100)
    assert [file.path for file in outputs.files] == ["elsewhere", "model"]
    assert [path.read_text() for path in paths] == ["e", "m"]


def test_over_the_limit_the_smallest_are_kept_and_the_rest_is_named(tmp_path: Path) -> None:
    """A large file does not cost the small ones."""
    outputs, _ = gather_outputs(_write(tmp_path, small="s", large="l" * 100), ".", 50)
    assert [file.path for file in outputs.files] == ["small"]
    assert outputs.left_out == ("large",)


def test_a_link_is_no_output(tmp_path: Path) -> None:
    """Nothing outside the folder is read through a link."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    assert gather_outputs(tmp_path, ".", 1 << 20)[0].files == ()


def test_a_name_that_is_no_text_is_left_out_by_an_escaped_name(tmp_path: Path) -> None:
    """A file name that is not UTF-8 does not keep the run's end from being recorded."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff")).write_text("x")
    outputs, _ = gather_outputs(tmp_path, ".", 100)
    assert outputs.files == ()
    assert outputs.left_out == ("odd\\udcff",)


@pytest.mark.parametrize(
    ("text", "metrics"),
    [
        ('{"accuracy": 0.5, "name": "x", "deep": {"a": 1}, "list": [1]}', {"accuracy": 0.5, "name": "x"}),
        ('{"loss": NaN, "best": -Infinity}', {"loss": "NaN", "best": "-Infinity"}),
        ("[1, 2]", {}),
        ("{", {}),
        ("[" * 100_000, {}),
    ],
)
def test_metrics_are_the_scalars_of_a_json_object(tmp_path: Path, text: str, metrics: dict[str, object]) -> None:
    """Whatever a program writes, its metrics can be told in JSON, and nothing is raised."""
    _write(tmp_path, metrics_json=text)
    assert read_metrics(tmp_path / "metrics.json") == metrics


@pytest.mark.parametrize(
    "path",
    [
        *("outputs/2026-01-31/10-20-30/model.pt", "lightning_logs/version_3/metrics.csv", "runs/exp12/w.pt"),
        *("model-20260131.pkl", "logs/10:20:30.txt", "mlruns/0/0f3c9a77e1b24d55/meta.yaml"),
    ],
)
def test_a_path_of_one_run_only_means_whatever_is_written(path: str) -> None:
    """Another run's folder has another date or number, so its outputs are not looked for at the captured paths."""
    assert paths_to_collect([("out.txt",), ("out.txt", path)]) is None


def test_paths_that_every_run_writes_are_the_outputs() -> None:
    """What the captured runs wrote, each once; without a captured run, whatever is written."""
    assert paths_to_collect([("b/fold1.csv", "a"), ("a",)]) == ("a", "b/fold1.csv")
    assert paths_to_collect([()]) == ()
    assert paths_to_collect([]) is None
