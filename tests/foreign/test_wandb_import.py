"""W&B jobs and runs become jobs with the same source, packages, command and values."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from foreign.foreign_clients import TRAIN
from infrastructure.git_server import TOKEN, USER, git_host

from launch_jobs.arguments import check_parameters, complete_parameters, properties_of, render_arguments
from launch_jobs.capture.git_account import GitAccount, offer_account
from launch_jobs.capture.source import checkout
from launch_jobs.errors import BadInput, CaptureError, LaunchError
from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.job import GitSource, JobVersion
from launch_jobs.store.jobs import JobStore

COMMIT = "c1a9f318da604d45c01da969acbe07d566979127"
CHANGED = TRAIN + "# not committed\n"


def edit(folder: Path, **source: object) -> None:
    """Change the source of a recorded job; a `source_type` goes to the top."""
    file = folder / "wandb-job.json"
    told = json.loads(file.read_text())
    told["source_type"] = source.pop("source_type", told["source_type"])
    told["source"] |= source
    file.write_text(json.dumps(told))


def tree_of(version: JobVersion, store: JobStore, into: Path) -> dict[str, str]:
    """What a job's checkout gives."""
    checkout(version, store, into)
    return {str(file.relative_to(into)): file.read_text() for file in into.rglob("*") if file.is_file()}


def command_of(version: JobVersion) -> tuple[str, ...]:
    """The command, without what gives parameters to wandb."""
    argv = version.job.entrypoint.argv
    return argv[4:] if argv[0] == "sh" else argv


@pytest.mark.parametrize("which", ["job", "run-0.19", "run-0.31"])
def test_source_is_the_commit_with_the_patch(
    which: str, recorded: Path, with_clone: Asked, store: JobStore, tmp_path: Path
) -> None:
    """Also when the clone is gone: everything is in the store."""
    version = import_folder(recorded / which, with_clone).version
    assert isinstance(version.job.source, GitSource)
    assert version.job.source.commit == COMMIT
    (tmp_path / "clone").rename(tmp_path / "gone")
    assert tree_of(version, store, tmp_path / "out") == {"train.py": CHANGED, ".gitignore": "wandb/\n"}


@pytest.mark.parametrize("which", ["job", "run-0.19", "run-0.31"])
def test_packages_are_the_frozen_ones(which: str, recorded: Path, with_clone: Asked) -> None:
    """Every line is there, with its exact version; the Python is the one that ran."""
    environment = import_folder(recorded / which, with_clone).version.job.environment
    file = recorded / which / ("requirements.frozen.txt" if which == "job" else "files/requirements.txt")
    assert environment.python == "3.11.7"
    assert {f"{one.name}=={one.version}" for one in environment.distributions} == {
        line.lower().replace("_", "-") for line in file.read_text().split()
    }


@pytest.mark.parametrize("which", ["run-0.19", "run-0.31"])
def test_a_run_is_started_as_it_was_and_one_value_changes(which: str, recorded: Path, with_clone: Asked) -> None:
    """The arguments stay as they were typed; another value comes behind them."""
    version = import_folder(recorded / which, with_clone).version
    inputs, record = version.job.inputs, with_clone.store.records(version)[-1]
    assert command_of(version) == ("python", "train.py", "--lr", "0.1", "--verbose", "--epochs=2")
    assert render_arguments(inputs, complete_parameters(inputs, record.parameters, {})) == ()
    changed = complete_parameters(inputs, record.parameters, {"lr": 0.2})
    assert render_arguments(inputs, changed) == ("--lr=0.2",)
    # From the log alone: files have no config while nothing was synced.
    assert {name: changed[name] for name in ("seed", "model")} == {"seed": 7, "model": {"width": 8}}
    assert "verbose" not in properties_of(inputs)


def test_a_job_takes_what_its_config_took(recorded: Path, with_clone: Asked) -> None:
    """`input_types` are the schema; nothing is required, for the program has defaults."""
    inputs = import_folder(recorded / "job", with_clone).version.job.inputs
    assert check_parameters(inputs, {"lr": 0.2, "tags": ["c"]}) == {"lr": 0.2, "tags": ["c"]}
    with pytest.raises(BadInput, match="learning"):
        check_parameters(inputs, {"learning": 1})
    with pytest.raises(BadInput, match="'verbose'"):
        check_parameters(inputs, {"verbose": "yes"})


def test_names_become_ours_and_are_kept(recorded: Path, with_clone: Asked) -> None:
    """A slug names the job; what W&B called it, and what W&B leaves out, is said beside it."""
    folder = (recorded / "job").rename(recorded / "job-https___github.com_o_Digits_train.py:v3")
    version = import_folder(folder, with_clone).version
    assert version.label == "job-https___github.com_o_digits_train.py:v0"
    assert version.origin.notes[0] == "imported from the W&B job job-https___github.com_o_Digits_train.py"
    assert "not committed" in version.origin.notes[1]


def test_again_is_no_change(recorded: Path, with_clone: Asked) -> None:
    """The same job, the same version."""
    first, second = (import_folder(recorded / "run-0.31", with_clone) for _ in range(2))
    assert (first.new, second.new) == (True, False)
    assert first.version.label == second.version.label == "digits-62bz2qe5:v0"


@pytest.mark.parametrize("name", ["", "..", "/", "a//b", "a\0b", "x" * 300, "tr\u0430in", "\u202eniart", "-x", "Train"])
def test_a_wrong_name_is_refused_first(name: str, recorded: Path, store: JobStore) -> None:
    """Before a clone is even asked for."""
    with pytest.raises(BadInput, match="cannot name a job"):
        import_folder(recorded / "job", Asked(store), name=name)


def test_a_patch_that_does_not_fit_is_never_dropped(recorded: Path, with_clone: Asked) -> None:
    """Not with fuzz, not in part."""
    patch = recorded / "job" / "diff.patch"
    patch.write_text(patch.read_text().replace("run.finish()", "run.finish(1)"))
    with pytest.raises(CaptureError, match=r"diff\.patch does not fit commit c1a9f318"):
        import_folder(recorded / "job", with_clone)
    assert with_clone.store.names() == []


def _sparse(patch: Path) -> None:
    with patch.open("ab") as file:
        file.truncate(500 << 20)


HOSTILE: dict[str, Callable[[Path], object]] = {
    "twice": lambda patch: patch.write_bytes(patch.read_bytes() * 2),
    "carriage returns": lambda patch: patch.write_bytes(patch.read_bytes().replace(b"\n", b"\r\n")),
    "500 MB": _sparse,
    "outside": lambda patch: patch.write_bytes(patch.read_bytes().replace(b"/train.py", b"/../train.py")),
    "git's own": lambda patch: patch.write_bytes(
        b"diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n"
        b"--- /dev/null\n+++ b/.git/hooks/x\n@@ -0,0 +1 @@\n+x\n"
    ),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_damaged_or_hostile_patch_is_refused(how: str, recorded: Path, with_clone: Asked) -> None:
    """Row B76; nothing is kept, and the clone is as it was."""
    HOSTILE[how](recorded / "job" / "diff.patch")
    with pytest.raises(CaptureError, match=r"diff\.patch"):
        import_folder(recorded / "job", with_clone)
    assert with_clone.store.names() == []


def test_an_empty_patch_is_no_change(recorded: Path, with_clone: Asked, tmp_path: Path) -> None:
    """A clean tree."""
    (recorded / "job" / "diff.patch").write_bytes(b"")
    version = import_folder(recorded / "job", with_clone).version
    assert tree_of(version, with_clone.store, tmp_path / "out")["train.py"] == TRAIN


def test_a_patch_of_binary_files_without_content_is_refused(recorded: Path, with_clone: Asked) -> None:
    """W&B writes `Binary files differ`: the bytes are nowhere."""
    with (recorded / "job" / "diff.patch").open("a") as patch:
        patch.write("diff --git a/w.bin b/w.bin\nindex 1..2 100644\nBinary files a/w.bin and b/w.bin differ\n")
    with pytest.raises(CaptureError, match=r"diff\.patch does not fit"):
        import_folder(recorded / "job", with_clone)


def test_an_unpushed_commit_comes_from_the_newest_pushed_one(recorded: Path, with_clone: Asked, clone: Path) -> None:
    """W&B keeps the changes since then in a patch of their own."""
    files = recorded / "run-0.19" / "files"
    (files / "diff.patch").rename(files / f"diff_{COMMIT}.patch")
    metadata = files / "wandb-metadata.json"
    metadata.write_text(metadata.read_text().replace(COMMIT, "0" * 40))
    version = import_folder(recorded / "run-0.19", with_clone).version
    assert version.job.source.model_dump()["commit"] == COMMIT
    assert tree_of(version, with_clone.store, clone.parent / "out")["train.py"] == CHANGED


def test_a_commit_of_nobody_names_what_to_do(recorded: Path, with_clone: Asked) -> None:
    """The error names commit and option."""
    edit(recorded / "job", git={"remote": "https://github.com/o/r", "commit": "0" * 40})
    with pytest.raises(CaptureError, match="no commit '0000"):
        import_folder(recorded / "job", with_clone)


def test_from_its_remote(recorded: Path, store: JobStore, clone: Path, tmp_path: Path) -> None:
    """The commit is fetched, the patch is stored, and the job checks out."""
    subprocess.run(["git", "clone", "-q", "--bare", str(clone), str(tmp_path / "hosted/digits.git")], check=True)
    with git_host(tmp_path / "hosted") as host:
        offer_account(lambda: GitAccount(host.name, USER, TOKEN))
        edit(recorded / "job", git={"remote": f"{host.address}/digits.git", "commit": COMMIT})
        version = import_folder(recorded / "job", Asked(store)).version
        assert (version.origin.remote, version.origin.archive) == (f"{host.address}/digits.git", None)
        assert tree_of(version, store, tmp_path / "out")["train.py"] == CHANGED
    offer_account(None)


def test_a_remote_that_is_not_allowed_is_refused(recorded: Path, store: JobStore, tmp_path: Path) -> None:
    """A job from elsewhere cannot make this machine run or read something by its remote."""
    for remote in (f"ext::touch {tmp_path}/ran", f"file://{tmp_path}/clone", "--upload-pack=x"):
        edit(recorded / "job", git={"remote": remote, "commit": COMMIT})
        with pytest.raises(LaunchError) as refusal:
            import_folder(recorded / "job", Asked(store))
        assert refusal.value.exit_code == 3
    assert not (tmp_path / "ran").exists()


def test_code_of_an_artifact_job(recorded: Path, store: JobStore, tmp_path: Path) -> None:
    """The job names another artifact, whose folder the user names."""
    edit(recorded / "job", source_type="artifact", artifact="wandb-artifact://_id/QXJ0")
    with pytest.raises(BadInput, match=r"another artifact.*--repository"):
        import_folder(recorded / "job", Asked(store))
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "train.py").write_text(TRAIN)
    version = import_folder(recorded / "job", Asked(store, repository=str(tmp_path / "code"))).version
    assert tree_of(version, store, tmp_path / "out") == {"train.py": TRAIN}


def test_a_new_file_that_w_and_b_lost_is_named(recorded: Path, with_clone: Asked) -> None:
    """The program itself was never committed."""
    edit(recorded / "job", entrypoint=["python3.11", "src/new.py"])
    with pytest.raises(CaptureError, match=r"'src/new\.py' is not in the source.*--repository"):
        import_folder(recorded / "job", with_clone)


def test_kinds_without_their_ingredients(recorded: Path, store: JobStore) -> None:
    """Each says what it lacks."""
    edit(recorded / "job", git=None)
    with pytest.raises(BadInput, match="no repo job ingredients"):
        import_folder(recorded / "job", Asked(store))
    edit(recorded / "job", source_type="image")
    with pytest.raises(BadInput, match="no image job ingredients"):
        import_folder(recorded / "job", Asked(store))


def test_a_run_without_metadata_names_the_file(recorded: Path, store: JobStore) -> None:
    """Neither file nor log: nobody knows what ran."""
    (recorded / "run-0.31").joinpath("run-62bz2qe5.wandb").write_bytes(b":W&B\xe1\xbe\x00")
    with pytest.raises(BadInput, match=r"wandb-metadata\.json"):
        import_folder(recorded / "run-0.31", Asked(store))


def test_a_folder_of_runs_names_one(recorded: Path, store: JobStore) -> None:
    """As `wandb/` is."""
    with pytest.raises(BadInput, match=r"2 W&B runs.*run-0\.31"):
        import_folder(recorded, Asked(store))


@pytest.mark.parametrize("length", [0, 3, 7, 20, 300, 900, 1500])
def test_a_log_cut_off_anywhere_is_no_crash(length: int, recorded: Path, with_clone: Asked) -> None:
    """A killed client leaves half a log: what is in it is used, else said."""
    log = recorded / "run-0.31" / "run-62bz2qe5.wandb"
    log.write_bytes(log.read_bytes()[:length])
    try:
        assert import_folder(recorded / "run-0.31", with_clone).version.job.environment.python
    except BadInput as error:
        assert "wandb" in str(error)


def test_a_command_of_ones_own(recorded: Path, with_clone: Asked) -> None:
    """Instead of the one that is written there."""
    asked = dataclasses.replace(with_clone, command=("python", "train.py", "--lr", "0.7"))
    assert command_of(import_folder(recorded / "job", asked).version) == asked.command
