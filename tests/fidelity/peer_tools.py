"""The other tools: what each keeps of a program on the user's machine, and how that is brought to life elsewhere."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from fidelity_place import BIN, CACHE, PreparationError, make

UV = str(BIN / "uv")
VERSIONS = {
    "wandb": "0.31.0",
    "pipreqs": "0.5.0",
    "pigar": "2.2.0",
    "clearml": "2.1.12",
    "mlflow-skinny": "3.17.2",
    "guildai": "0.9.0",
}


@dataclass(frozen=True)
class Kept:
    """What a tool keeps: requirements, one a line, and a patch on the commit."""

    requirements: str
    patch: bytes = b""


@dataclass(frozen=True)
class Peer:
    """A tool.

    Attributes:
        title: with its version.
        capture: folder, command, environment → what it keeps; it runs the program if it wants to.
        restore: new environment, requirements → what could not be had.
        beside: what must be installed with the program's own packages.
    """

    title: str
    capture: Callable[[Path, Sequence[str], Mapping[str, str]], Kept]
    restore: Callable[[Path, str], str]
    beside: tuple[str, ...] = ()


def call(*command: str, cwd: Path, env: Mapping[str, str] | None = None) -> str:
    """Run a command that must succeed; what it printed.

    Raises:
        PreparationError: it failed.
    """
    done = subprocess.run(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=600
    )
    if done.returncode:
        raise PreparationError(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-300:]}")
    return done.stdout


@cache
def tool(name: str) -> Path:
    """The folder of a tool's programs, in an environment of its own, made once."""
    venv = CACHE / "tools" / f"{name}-{VERSIONS[name]}"
    if not (venv / "whole").exists():
        make(venv, None)
        python = str(venv / "bin/python")
        call(
            UV,
            "pip",
            "install",
            "-q",
            "--python",
            python,
            f"{name}=={VERSIONS[name]}",
            "setuptools<80",
            "pip",
            cwd=CACHE,
        )
        (venv / "whole").touch()
    return venv / "bin"


def _freeze(_folder: Path, _command: Sequence[str], environment: Mapping[str, str]) -> Kept:
    """`pip freeze` and a push, as everybody does it by hand."""
    python = f"{environment['VIRTUAL_ENV']}/bin/python"
    return Kept(call(UV, "pip", "freeze", "-q", "--python", python, cwd=_folder))


def _pipreqs(folder: Path, _command: Sequence[str], environment: Mapping[str, str]) -> Kept:
    words = ("--print", "--pypi-server", "https://pypi.org/pypi/", str(_top(folder)))
    return Kept(call(str(tool("pipreqs") / "pipreqs"), *words, cwd=folder, env=_seen(environment)))


def _pigar(folder: Path, _command: Sequence[str], environment: Mapping[str, str]) -> Kept:
    into = folder / "requirements.pigar"
    words = ("--question-answer", "no", "--auto-select", "--dont-show-differences", "-f", str(into), str(_top(folder)))
    call(str(tool("pigar") / "pigar"), "generate", *words, cwd=folder, env=_seen(environment))
    return Kept(into.read_text() if into.exists() else "")


_WANDB = """
import subprocess, sys
import wandb
run = wandb.init(project="fidelity", settings=wandb.Settings(save_code=True, console="off"))
subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL)
run.finish()
"""


def _wandb(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> Kept:
    """A run in offline mode around the program; entrypoint and arguments are given to it for nothing."""
    environment = {**environment, "WANDB_MODE": "offline", "WANDB_SILENT": "true", "PWD": str(folder)}
    environment["WANDB_DIR"] = environment["HOME"]
    python = f"{environment['VIRTUAL_ENV']}/bin/python"
    call(python, "-c", _WANDB, *command, cwd=folder, env=environment)
    (files,) = Path(environment["HOME"]).glob("wandb/offline-run-*/files")
    patch = files / "diff.patch"
    return Kept((files / "requirements.txt").read_text(), patch.read_bytes() if patch.exists() else b"")


def _bootstrap(venv: Path, requirements: str) -> str:
    """W&B Launch's own installer, which its images run."""
    (venv / "requirements.frozen.txt").write_text(requirements)
    python = venv / "bin/python"
    call(UV, "pip", "install", "-q", "--python", str(python), "pip", "uv", cwd=venv)
    script = next(tool("wandb").parent.glob("lib/python*/site-packages/wandb/sdk/launch/builder/templates"))
    environment = {**os.environ, "PATH": f"{venv / 'bin'}:{os.environ['PATH']}", "VIRTUAL_ENV": str(venv)}
    call(str(python), str(script / "_wandb_bootstrap.py"), cwd=venv, env=environment)
    wanted = {line.split("==")[0].lower().replace("_", "-") for line in requirements.splitlines() if "==" in line}
    frozen = call(UV, "pip", "freeze", "-q", "--python", str(python), cwd=venv)
    missing = sorted(wanted - {line.split("==")[0].lower().replace("_", "-") for line in frozen.splitlines()})
    if len(missing) > 8:
        return f"its installer installed nothing of {len(missing)} packages"
    return f"not installed: {', '.join(missing)}" if missing else ""


def _pip(venv: Path, requirements: str) -> str:
    """`pip install -r`; what cannot be had is left out, though pip would give up."""
    wanted = [line for line in requirements.splitlines() if line.strip() and not line.startswith("#")]
    if not wanted or _installs(venv, wanted):
        return ""
    left = [line for line in wanted if not _installs(venv, [line])]
    return f"not installed: {', '.join(left)}"


def _installs(venv: Path, wanted: list[str]) -> bool:
    words = [word for line in wanted for word in (line.split(maxsplit=1) if line.startswith("-e ") else [line])]
    done = subprocess.run(
        [UV, "pip", "install", "-q", "--python", str(venv / "bin/python"), *words], capture_output=True, check=False
    )
    return done.returncode == 0


def _top(folder: Path) -> Path:
    return Path(call("git", "rev-parse", "--show-toplevel", cwd=folder).strip())


def _seen(environment: Mapping[str, str]) -> dict[str, str]:
    """The tool runs in its own environment, and sees the user's packages."""
    (site,) = Path(environment["VIRTUAL_ENV"]).glob("lib/python*/site-packages")
    return {**environment, "PYTHONPATH": str(site), "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}


PEERS = {
    "wandb": Peer(f"wandb {VERSIONS['wandb']}", _wandb, _bootstrap, beside=(f"wandb=={VERSIONS['wandb']}",)),
    "freeze": Peer("git clone + uv pip freeze", _freeze, _pip),
    "pipreqs": Peer(f"git clone + pipreqs {VERSIONS['pipreqs']}", _pipreqs, _pip),
    "pigar": Peer(f"git clone + pigar {VERSIONS['pigar']}", _pigar, _pip),
}
