"""Programs with parsers of several libraries: captured by a tracked run, launched with one parameter changed."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from pydantic import JsonValue

from launch_jobs.arguments import complete_parameters, render_arguments
from launch_jobs.capture.tracked import TrackedRun, run_tracked
from launch_jobs.job import CaptureRecord, JobVersion, JsonObject
from launch_jobs.store.jobs import JobStore, open_store

_TELL = "import json, sys\ndef tell(**got): json.dump(got, open('got.json', 'w'), default=str)\n"

CLICK = (
    _TELL
    + """
import click
@click.group()
@click.option("--verbose", "-v", count=True)
@click.option("--seed", type=int, default=1)
def main(verbose, seed):
    tell_group.update(verbose=verbose, seed=seed)
tell_group = {}
@main.command()
@click.argument("data", type=click.Path())
@click.argument("more", nargs=-1)
@click.option("--lr", type=click.FloatRange(0, 1, max_open=True), default=0.1, help="rate")
@click.option("--mode", type=click.Choice(["Fast", "Slow"], case_sensitive=False))
@click.option("--shuffle/--in-order", default=True)
@click.option("--tag", "-t", multiple=True)
@click.option("-k", type=int, default=3)
@click.option("--size", nargs=2, type=int, default=(1, 2))
@click.option("--shape", type=(int, int), default=(3, 4))
@click.option("--owner", envvar="OWNER")
@click.option("--upper", "how", flag_value="upper")
@click.option("--lower", "how", flag_value="lower", default=True)
@click.option("--seed")
def train(**got):
    tell(**tell_group, **{"own_" + name: value for name, value in got.items()})
main()
"""
)
TYPER = (
    _TELL
    + """
import enum, typer
from pathlib import Path
from typing import List, Optional
class Mode(str, enum.Enum):
    fast, slow = "fast", "slow"
def main(data: Path, lr: float = typer.Option(0.1, min=0, max=1, help="rate"), mode: Mode = Mode.fast,
         tags: List[str] = [], epochs: int = 3, shuffle: bool = True, name: Optional[str] = None):
    tell(**{key: value.value if key == "mode" else value for key, value in locals().items()})
typer.run(main)
"""
)
SUBCOMMANDS = (
    _TELL
    + """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--seed", type=int, default=1)
inner = parser.add_subparsers(dest="command", required=True)
fit = inner.add_parser("fit", aliases=["train"])
fit.add_argument("data")
fit.add_argument("--lr", type=float, default=0.1)
fit.add_argument("--layers", type=int, nargs="+", default=[8])
fit.add_argument("--amp", action=argparse.BooleanOptionalAction, default=False)
inner.add_parser("test").add_argument("--lr")
tell(**vars(parser.parse_args()))
"""
)
HYDRA = (
    _TELL
    + """
import hydra
from omegaconf import OmegaConf
@hydra.main(version_base=None, config_path="conf", config_name="config")
def main(cfg):
    tell(**OmegaConf.to_container(cfg, resolve=True))
main()
"""
)
ABSL = (
    _TELL
    + """
from absl import app, flags
flags.DEFINE_float("lr", 0.1, "rate", lower_bound=0)
flags.DEFINE_integer("epochs", 3, "passes")
flags.DEFINE_bool("shuffle", True, "order")
flags.DEFINE_enum("mode", "fast", ["fast", "slow"], "speed")
flags.DEFINE_list("layers", ["1", "2"], "sizes")
flags.DEFINE_multi_string("tag", None, "labels")
def main(argv):
    names = ("lr", "epochs", "shuffle", "mode", "layers", "tag")
    tell(rest=argv[1:], **{name: flags.FLAGS[name].value for name in names})
app.run(main)
"""
)
FIRE = (
    _TELL
    + """
import fire
def train(data, lr=0.1, layers=(8, 8), name="a", amp=False, limit=None):
    tell(**locals())
fire.Fire({"train": train})
"""
)


@dataclass(frozen=True)
class Program:
    """A script, its arguments, what is changed, and the arguments that the launch then has."""

    script: str
    args: tuple[str, ...]
    change: JsonObject
    rendered: tuple[str, ...]
    got: JsonObject


PROGRAMS = {
    "click": Program(
        CLICK,
        (*("-vv", "train", "--lr=0.5", "-t", "a", "-t", "-b", "--mode", "SLOW", "-k", "5"), "in.csv", "x", "y"),
        {"lr": 0.25},
        (
            *("--verbose", "--verbose", "train", "--lr=0.25", "--mode=Slow", "--tag=a", "--tag=-b", "-k", "5"),
            *("--owner=me", "--", "in.csv", "x", "y"),
        ),
        {"own_lr": 0.25},
    ),
    "click-flag": Program(
        CLICK,
        ("train", "in.csv", "--size", "3", "4", "--upper", "--seed", "7"),
        {"shuffle": False, "shape": [5, 6]},
        (
            *("train", "--in-order", "--size", "3", "4", "--shape", "5", "6", "--owner=me", "--upper", "--seed=7"),
            *("--", "in.csv"),
        ),
        {"own_shuffle": False, "own_shape": [5, 6]},
    ),
    "typer": Program(
        TYPER,
        ("in.csv", "--lr", "0.5", "--tags", "a", "--tags", "b", "--mode", "slow"),
        {"epochs": 4},
        ("--lr=0.5", "--mode=slow", "--tags=a", "--tags=b", "--epochs=4", "--", "in.csv"),
        {"epochs": 4},
    ),
    "sub-parsers": Program(
        SUBCOMMANDS,
        ("--seed", "3", "fit", "--lr", "0.5", "--layers", "1", "2", "--", "in.csv"),
        {"amp": True},
        ("--seed=3", "fit", "--lr=0.5", "--layers", "1", "2", "--amp", "--", "in.csv"),
        {"amp": True},
    ),
    "hydra": Program(
        HYDRA,
        ("db=postgres", "lr=0.5", "+extra=1", r"model.name='it\'s'", "sizes=[3,4]", "db.user='10'"),
        {"model.depth": 5},
        ("+extra=1", "db=postgres", "db.user='10'", "lr=0.5", "model.depth=5", r"model.name='it\'s'", "sizes=[3,4]"),
        {"model": {"depth": 5, "name": "it's"}},
    ),
    "hydra group": Program(
        HYDRA,
        ("lr=0.5",),
        {"db": "postgres"},
        ("db=postgres", "lr=0.5"),
        {"db": {"port": 5432, "user": "me"}},
    ),
    "hydra group that was chosen": Program(
        HYDRA,
        ("db=postgres", "lr=0.5"),
        {"db": "mysql"},
        ("db=mysql", "lr=0.5"),
        {"db": {"port": 3306, "user": "me"}},
    ),
    "absl": Program(
        ABSL,
        ("--lr", "0.5", "--noshuffle", "--verbosity=1", "--tag=a", "-tag", "b", "--layers=5,6"),
        {"mode": "slow"},
        ("--verbosity=1", "--lr=0.5", "--noshuffle", "--mode=slow", "--layers=5,6", "--tag=a", "--tag=b"),
        {"mode": "slow"},
    ),
    "fire": Program(
        FIRE,
        ("train", "in.csv", "--lr", "0.5", "--layers=[1,2]", "--amp", "--name='10'"),
        {"limit": 3},
        ("train", "--data=in.csv", "--lr=0.5", "--layers=[1, 2]", "--name='10'", "--amp=True", "--limit=3"),
        {"limit": 3},
    ),
}
CONFIGURATION = {
    "conf/config.yaml": "defaults: [db: mysql, _self_]\nlr: 0.1\nmodel: {depth: 2, name: a}\nsizes: [1, 2]\nx: null\n",
    "conf/db/mysql.yaml": "{port: 3306, user: me}\n",
    "conf/db/postgres.yaml": "{port: 5432, user: me}\n",
}


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobStore:
    """An empty store, and a home of the test's own."""
    monkeypatch.setenv("LAUNCH_JOBS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("OWNER", "me")
    monkeypatch.delenv("PYTHONPATH", raising=False)
    return open_store((tmp_path / "store").as_uri())


def tracked(program: str, args: tuple[str, ...], store: JobStore, folder: Path) -> tuple[JobVersion, CaptureRecord]:
    """The job and record of a tracked run of the program."""
    for path, text in CONFIGURATION.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    (folder / "main.py").write_text(program)
    ended: TrackedRun = run_tracked((sys.executable, "main.py", *args), store=store, directory=folder)
    assert (ended.exit_code, ended.problem) == (0, None)
    assert ended.version is not None
    assert ended.record is not None
    return ended.version, ended.record


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_launch_changes_only_what_is_asked_for(name: str, store: JobStore, tmp_path: Path) -> None:
    """The program gets what it got when it was captured, but for the one parameter."""
    program, folder = PROGRAMS[name], tmp_path / "project"
    version, record = tracked(program.script, program.args, store, folder)
    before: dict[str, JsonValue] = json.loads((folder / "got.json").read_text())
    inputs, argv = version.job.inputs, version.job.entrypoint.argv

    args = render_arguments(inputs, complete_parameters(inputs, record.parameters, program.change))
    subprocess.run([sys.executable, *argv[1:], *args], cwd=folder, check=True)

    after: dict[str, JsonValue] = json.loads((folder / "got.json").read_text())
    assert record.notes == ()
    assert (*argv[2:], *args) == program.rendered
    assert {key: after[key] for key in after if after[key] != before[key]} == program.got
