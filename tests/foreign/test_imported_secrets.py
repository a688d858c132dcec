"""What another tool wrote down of a program may hold a secret: it is refused or left out, as at capture."""

from __future__ import annotations

import json
import random
import string
from pathlib import Path

import pytest

from launch_jobs.arguments import properties_of
from launch_jobs.errors import Refused
from launch_jobs.foreign import Asked
from launch_jobs.foreign.importing import import_folder
from launch_jobs.store.jobs import JobStore

# Drawn, never written down, so that no scanner finds this file.
TOKEN = "hf_" + "".join(random.Random(5).choices(string.ascii_letters + string.digits, k=34))


def stored(tmp_path: Path) -> list[Path]:
    """Files of the store that hold the token."""
    files = (path for path in (tmp_path / "store").rglob("*") if path.is_file())
    return [path for path in files if TOKEN.encode() in path.read_bytes()]


def test_a_patch_with_a_secret_is_refused(recorded: Path, with_clone: Asked, tmp_path: Path) -> None:
    """File and line are named, the value is not; nothing of it is stored."""
    patch = recorded / "job" / "diff.patch"
    patch.write_text(patch.read_text().replace("# not committed", f'login("{TOKEN}")'))

    with pytest.raises(Refused, match=r"train\.py:\d+ \(Hugging Face token hf_") as raised:
        import_folder(recorded / "job", with_clone)
    assert TOKEN not in str(raised.value)
    assert not stored(tmp_path)


def test_a_command_with_a_secret_is_refused(recorded: Path, with_clone: Asked, tmp_path: Path) -> None:
    """The command is part of the job."""
    file = recorded / "job" / "wandb-job.json"
    told = json.loads(file.read_text())
    told["source"]["args"] = ["--hub", TOKEN]
    file.write_text(json.dumps(told))

    with pytest.raises(Refused, match=r"--hub \(Hugging Face token") as raised:
        import_folder(recorded / "job", with_clone)
    assert TOKEN not in str(raised.value)
    assert not stored(tmp_path)


def test_a_secret_of_a_runs_config_is_left_out(recorded: Path, with_clone: Asked, store: JobStore) -> None:
    """The parameter stays; its value is not stored, and the notes say so."""
    config = {"hub": {"value": TOKEN}, "db_password": {"value": "correct horse"}, "seed": {"value": 3}}
    (recorded / "run-0.31" / "files" / "config.yaml").write_text(json.dumps(config))

    kept = import_folder(recorded / "run-0.31", with_clone)
    values = store.records(kept.version)[0].parameters
    assert values["seed"] == 3
    assert not {"hub", "db_password"} & values.keys()
    assert {"hub", "db_password"} <= properties_of(kept.version.job.inputs).keys()
    assert "not stored, for they are secret: the values of db_password, hub" in kept.foreign.notes
