"""The main job, start to end: capture a training script, queue it with other hyperparameters, run it, compare.

`make demo` runs this. Each step is one `launch` command that you could type yourself.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.table import Table

DIGITS = Path(__file__).parent / "digits"
VARIANTS = ({"n_estimators": 10}, {"n_estimators": 100}, {"n_estimators": 300, "criterion": "entropy"})
FINAL = {"completed", "failed", "crashed", "cancelled"}
console = Console(width=None if sys.stdout.isatty() else 140)


def launch(*arguments, quiet=False):
    """One `launch` command, shown and run."""
    if not quiet:
        console.print(f"\n[bold]$ launch {shlex.join(arguments)}[/bold]", highlight=False)
    command = [sys.executable, "-m", "launch_jobs", *arguments]
    done = subprocess.run(command, cwd=DIGITS, stdout=subprocess.PIPE if "--json" in arguments else None, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout) if done.stdout else None


def table_of(runs):
    """The runs as a table."""
    table = Table(box=SIMPLE)
    for column in ("run", "queue", "parameters", "state", "seconds", "accuracy", "outputs"):
        table.add_column(column, overflow="fold")
    for run in runs:
        changed = " ".join(f"{name}={run['parameters'].get(name)}" for name in ("n_estimators", "criterion"))
        seconds = "" if run["duration_s"] is None else f"{run['duration_s']:.1f}"
        outputs = " ".join(file["path"] for file in run["outputs"])
        accuracy = str(run["metrics"].get("accuracy", ""))
        table.add_row(run["name"], run["queue"], changed, run["state"], seconds, accuracy, outputs)
    return table


def follow(names):
    """Show the runs live until they are over."""
    started = time.monotonic()
    with Live(console=console, auto_refresh=False) as live:
        while True:
            listed = {run["id"]: run for run in launch("list", "--json", quiet=True)}
            runs = [listed[name] for name in names]
            live.update(table_of(runs), refresh=True)
            if all(run["state"] in FINAL for run in runs):
                return runs
            if time.monotonic() - started > 1800:
                sys.exit("The runs are not over after 30 minutes; see `launch list`")
            time.sleep(0.5)


def main():
    """Capture, submit, follow."""
    launch("up")
    launch("run", "--name", "digits", "--", sys.executable, "train.py", "--n-estimators", "50")
    queues = ["process"]
    if has_docker():
        queues.append("docker")
    else:
        console.print("No Docker engine with a base image: the docker queue is left out (see `launch doctor`)")
    names = []
    for queue in queues:
        for variant in VARIANTS:
            options = [word for name, value in variant.items() for word in ("-p", f"{name}={value}")]
            names.append(launch("submit", "digits", "-q", queue, *options, "--json")["id"])
    runs = follow(names)
    server = launch("ui", "--json", quiet=True)
    console.print(
        f"\nThe runs in the Prefect UI: {server['ui_url']}\nuser {server['user']}, password {server['password']}"
    )
    console.print(f"Fetch a model: .venv/bin/launch outputs {runs[0]['name']} results/    Stop all: make down")
    sys.exit(0 if all(run["state"] == "completed" for run in runs) else 1)


def has_docker():
    """Whether images can be built here: an engine answers, and a base image can be had."""
    command = [sys.executable, "-m", "launch_jobs", "build", "digits", "--dry-run", "--json"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
