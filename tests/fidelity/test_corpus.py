"""The corpus is well-formed, and one case of it agrees end to end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fidelity_case import PROGRAMS, read_case, read_corpus
from fidelity_peers import stored, summary
from fidelity_score import scores_of
from fidelity_trees import everything_in, tree_of, verdict
from fidelity_verdict import Done, differences
from peer_tools import PEERS

FOLDERS = sorted(folder for folder in PROGRAMS.iterdir() if folder.is_dir() and folder.name[0] != ".")


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_case_is_well_formed(folder: Path) -> None:
    """Every case names files and requirements that are there, and changes something in its second launch."""
    case = read_case(folder)
    assert case.requirements_file.is_file()
    assert all((folder / path).is_file() for path in (*case.untracked, *case.modified))
    assert (folder / case.directory).is_dir()
    assert (case.second.parameters or case.second.args) and case.second.says
    lines = [path.read_text().splitlines() for path in _files(folder) if path.suffix in {"", ".py", ".c", ".sh"}]
    assert max(map(len, lines)) <= 60


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_the_corpus_has_25_programs_and_a_short_form_of_four() -> None:
    """As many as were promised."""
    assert len(read_corpus()) >= 25
    assert len(read_corpus(short=True)) == 4


def test_an_unknown_case_is_refused_by_its_name() -> None:
    """A typing error does not score 0 of 0."""
    with pytest.raises(ValueError, match="no case nothing_like_it"):
        read_corpus(["nothing_like_it"])


@pytest.mark.parametrize(
    ("there", "cause"),
    [
        (Done("failed", 1, "a\nboom\n", files={"f": "1"}), "exit code 1 instead of 0: boom"),
        (Done("completed", 0, "b\n", files={"f": "1"}), "stdout differs: -a | +b"),
        (Done("completed", 0, "a\n"), "output f is missing"),
        (Done("completed", 0, "a\n", files={"f": "2"}), "output f differs"),
        (Done("completed", 0, "a\n", files={"f": "1", "g": "1"}), "output g is new"),
    ],
)
def test_every_difference_is_found(there: Done, cause: str) -> None:
    """What does not agree is told with its cause."""
    assert cause in differences(Done("captured", 0, "a\n", files={"f": "1"}), there, (), ())


def test_errors_times_and_ignored_files_are_no_difference() -> None:
    """A queue's log has errors among the output, wherever they came."""
    here = Done("captured", 0, "a\ntook 1 s\nb\n", "warned\n", {"t.log": "1"})
    there = Done("completed", 0, "warned\na\ntook 2 s\nb\n", "", {"t.log": "2"})
    assert differences(here, there, (re.compile("^took"),), (re.compile("log$"),)) == []


def test_a_case_agrees_on_the_process_queue() -> None:
    """The cheapest case: capture, clean checkout, launch, comparison, second launch."""
    (score,) = scores_of(read_corpus(["exit_three"]), "process")
    assert score.differences == []
    assert score.here is not None and score.here.files.keys() == {"report.txt"}


def test_what_was_measured_of_the_peers_is_kept_for_programs_of_the_corpus() -> None:
    """`make fidelity` shows their scores beside ours; a stored result of a program that is gone would count."""
    names = {case.name for case in read_corpus()}
    content = stored()
    assert content is not None
    assert content.programs.keys() <= names
    assert len(summary()) == len(PEERS)
    assert all(score.agrees or score.differences for one in content.programs.values() for score in one.values())


def test_a_tree_is_the_same_only_with_its_modes_and_links(tmp_path: Path) -> None:
    """What a tool must give back: content, executable bits, symbolic links, and nothing else."""
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").symlink_to("a")
    wanted = tree_of(tmp_path, everything_in(tmp_path))
    assert verdict(wanted, dict(wanted)) == "same"
    (tmp_path / "a").chmod(0o755)
    (tmp_path / "b").unlink()
    (tmp_path / "c").touch()
    found = tree_of(tmp_path, everything_in(tmp_path))
    assert verdict(wanted, found) == "b is missing; c is too many; a differs"
