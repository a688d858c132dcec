"""What launch, W&B, ClearML, MLflow and Guild keep of a source tree, and how it is brought back elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fidelity_place import BIN, PreparationError
from peer_tools import VERSIONS, call, tool

WORDS = ("--lr", "0.5")


@dataclass(frozen=True)
class Restorer:
    """A tool that is to bring a tree back.

    Attributes:
        title: with its version.
        keep: folder of the program, a folder of the tool's own → what `bring` needs.
        bring: that, the tool's folder, where to → the tree.
    """

    title: str
    keep: Callable[[Path, Path], str]
    bring: Callable[[str, Path, Path], None]


def _environment(own: Path) -> dict[str, str]:
    home = own / "home"
    home.mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("LAUNCH_", "PREFECT_"))}
    store = {"LAUNCH_JOBS_HOME": str(own / "launch"), "LAUNCH_JOBS_STORE": (own / "store").as_uri()}
    offline = {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": str(home)}
    trackers = {
        "CLEARML_CACHE_DIR": str(own / "clearml"),
        "CLEARML_LOG_LEVEL": "ERROR",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "MLFLOW_TRACKING_URI": (own / "mlruns").as_uri(),
        "GUILD_HOME": str(own / "guild"),
    }
    return {**kept, **store, **offline, **trackers, "HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}


# --- launch ---------------------------------------------------------------------------------------------------------


def _launch_keep(folder: Path, own: Path) -> str:
    python = str(tool("mlflow-skinny") / "python")  # any interpreter that has nothing of ours
    call(
        str(BIN / "launch"), "run", "--name", "w6", "--", python, "train.py", *WORDS, cwd=folder, env=_environment(own)
    )
    return "w6"


def _launch_bring(kept: str, own: Path, into: Path) -> None:
    call(str(BIN / "launch"), "job", "checkout", kept, str(into), cwd=own, env=_environment(own))


# --- those that keep a commit and a patch ---------------------------------------------------------------------------

_WANDB = """
import json, pathlib, subprocess, sys
import wandb
from wandb.sdk.lib.gitlib import GitRepo
run = wandb.init(project="w6", settings=wandb.Settings(save_code=True, console="off"))
subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
run.finish()
git = GitRepo()
patches = {one.stem: one.read_bytes().decode("latin-1") for one in pathlib.Path(run.dir).glob("*.patch")}
upstream = [name for name in patches if name != "diff"]
told = {"url": git.remote_url, "commit": git.last_commit, "patch": patches.get("diff", "")}
if upstream:  # what `wandb restore` takes when the commit is on no remote
    told |= {"upstream": upstream[0].removeprefix("diff_"), "upstream_patch": patches[upstream[0]]}
print(json.dumps(told))
"""
_CLEARML = """
import json, pathlib, subprocess, sys
from clearml import Task
Task.set_offline(True)
task = Task.init("w6", "w6", auto_connect_streams=False, auto_resource_monitoring=False)
subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
task.close()
told = json.loads(pathlib.Path(task.get_offline_mode_folder(), "task.json").read_text())["script"]
print(json.dumps({"url": told["repository"], "commit": told["version_num"], "patch": told["diff"] or ""}))
"""
_MLFLOW = """
import json, subprocess, sys
import mlflow
with mlflow.start_run() as run:
    subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
tags = mlflow.get_run(run.info.run_id).data.tags
url, commit = tags.get("mlflow.source.git.repoURL"), tags.get("mlflow.source.git.commit")
print(json.dumps({"url": url, "commit": commit, "patch": ""}))
"""


def _around(name: str, code: str) -> Callable[[Path, Path], str]:
    """A script of the user with the tool's own lines in it, which runs the program."""

    def keep(folder: Path, own: Path) -> str:
        script = folder / "_w6_driver.py"  # the tools look for the repository of the script that runs
        script.write_text(code)
        python = str(tool(name) / "python")
        try:
            printed = call(python, str(script), "train.py", *WORDS, cwd=folder, env=_environment(own))
        finally:
            script.unlink()
        return next(line for line in reversed(printed.splitlines()) if line.startswith('{"url"'))

    return keep


def _patched(kept: str, own: Path, into: Path) -> None:
    """A clone of the remote at the commit, with its submodules, and the patch on it."""
    told = json.loads(kept)
    if not told["url"] or not told["commit"]:
        raise PreparationError("no remote or no commit is recorded")
    call("git", "clone", "-q", told["url"], str(into), cwd=own)
    try:
        call("git", "checkout", "-q", told["commit"], cwd=into)
    except PreparationError:
        if "upstream" not in told:
            raise
        call("git", "checkout", "-q", told["upstream"], cwd=into)
        told["patch"] = told["upstream_patch"]
    call("git", "-c", "protocol.file.allow=always", "submodule", "--quiet", "update", "--init", cwd=into)
    if told["patch"].strip():
        patch = own / "kept.patch"
        patch.write_bytes(told["patch"].encode("latin-1" if own.name == "wandb" else "utf-8"))
        call("git", "apply", str(patch), cwd=into)


# --- Guild ----------------------------------------------------------------------------------------------------------


def _guild_keep(folder: Path, own: Path) -> str:
    (own / "guild").mkdir(exist_ok=True)
    environment = {**_environment(own), "PATH": f"{tool('guildai')}:{os.environ['PATH']}"}
    call(str(tool("guildai") / "guild"), "run", "train.py", "--yes", "lr=0.5", cwd=folder, env=environment)
    (run,) = (own / "guild" / "runs").iterdir()
    return str(run)


def _guild_bring(kept: str, _own: Path, into: Path) -> None:
    shutil.copytree(kept, into, symlinks=True, ignore=shutil.ignore_patterns(".guild"))


RESTORERS = {
    "launch": Restorer("Launch Jobs", _launch_keep, _launch_bring),
    "wandb": Restorer(f"W&B {VERSIONS['wandb']}", _around("wandb", _WANDB), _patched),
    "clearml": Restorer(f"ClearML {VERSIONS['clearml']}", _around("clearml", _CLEARML), _patched),
    "mlflow": Restorer(f"MLflow {VERSIONS['mlflow-skinny']}", _around("mlflow-skinny", _MLFLOW), _patched),
    "guild": Restorer(f"Guild {VERSIONS['guildai']}", _guild_keep, _guild_bring),
}


def files_wanted(root: Path) -> list[str]:
    """The paths of a working copy that are no scratch: what git knows or does not ignore, submodules' too."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        check=True,
    ).stdout
    found: list[str] = []
    for path in map(os.fsdecode, filter(None, listed.split(b"\0"))):
        if (root / path).is_dir() and not (root / path).is_symlink():
            found += [f"{path}/{inner}" for inner in files_wanted(root / path)]
        elif os.path.lexists(root / path):
            found.append(path)
    return sorted(set(found))
