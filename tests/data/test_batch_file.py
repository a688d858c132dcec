"""Files with sets of parameters, and what one submission and such sets become."""

from __future__ import annotations

from pathlib import Path

import pytest

from launch_jobs.batch import spread
from launch_jobs.cli.batch_file import read_batch_file
from launch_jobs.errors import BadInput
from launch_jobs.job import Overrides
from launch_jobs.submission import Submission

SETS = [{"lr": 0.001, "name": "1e-3"}, {"lr": 1, "layers": [1, 2], "note": None}]
GOOD = {
    "a.json": '[{"lr": 1e-3, "name": "1e-3"}, {"lr": 1, "layers": [1, 2], "note": null}]',
    "a.jsonl": '\ufeff{"lr": 0.001, "name": "1e-3"}\n\n{"lr": 1, "layers": [1, 2], "note": null}\n',
    "a.yaml": "- {lr: 1e-3, name: '1e-3'}\n- lr: 1\n  layers: [1, 2]\n  note:\n",
}
BAD = [
    ("a.json", "[{", "cannot be read"),
    ("a.json", '{"lr": 1}', "valid list"),
    ("a.jsonl", "{}\n[]\n", "set 2"),
    ("a.jsonl", "{}\nlr=1\n", "cannot be read"),
    ("a.yaml", "- lr: 2026-01-01\n", "set 1 lr"),
    ("a.yaml", "- 1: 2\n", "set 1"),
    ("a.yaml", "- !!python/object/apply:os.getcwd []\n", "cannot be read"),
]


@pytest.mark.parametrize("name", GOOD)
def test_each_kind_of_file_lists_the_same_sets(tmp_path: Path, name: str) -> None:
    """Numbers are numbers, also those that PyYAML takes for texts."""
    path = tmp_path / name
    path.write_text(GOOD[name])
    assert read_batch_file(path) == SETS


@pytest.mark.parametrize(("name", "text", "words"), BAD)
def test_what_is_no_list_of_sets_is_bad_input(tmp_path: Path, name: str, text: str, words: str) -> None:
    """The message names the place and says what to write."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(BadInput, match=words):
        read_batch_file(path)


def test_a_set_counts_more_than_what_is_common() -> None:
    """Whichever way that was given; names tell the place."""
    common = Submission(
        job="j",
        overrides=Overrides(parameters={"lr": 1, "kept": 2}),
        parameter_texts={"lr": "3", "text": "4"},
        name="n",
    )
    spreads = spread(common, [{"lr": place} for place in range(10)])
    assert [one.name for one in spreads][::9] == ["n-01", "n-10"]
    assert spreads[5].overrides.parameters == {"lr": 5, "kept": 2}
    assert spreads[5].parameter_texts == {"text": "4"}
