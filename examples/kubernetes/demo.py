"""Three jobs on a Kubernetes cluster: on a GPU, on two nodes at once, and one that is preempted and comes back.

`make demo-kubernetes` runs this, by examples/kubernetes/run. Server, agent, queues and namespace are the demo's own,
and gone when it ends; it ends with 1 if a promise was not kept.
"""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import yaml
from demo_cluster import ATTEMPT, LOW, Cluster
from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

import launch_jobs as lj
from launch_jobs.store.jobs import open_store

HERE = Path(__file__).parent
DIGITS, PROGRAMS = HERE.parent / "digits", HERE / "programs"
NUMBERS = 1_000_000
PATIENCE_S = 1200
REGISTRY = "import sys, blocks; blocks.Registry(address=sys.argv[1], namespace='launch-demo').save('demo')"
console = Console(width=None if sys.stdout.isatty() else 160)


def launch(*arguments, folder=HERE, quiet=False):
    """One `launch` command, shown and run."""
    if not quiet:
        console.print(f"\n[bold]$ launch {shlex.join(arguments)}[/bold]", highlight=False)
    command = [sys.executable, "-m", "launch_jobs", *arguments]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE if "--json" in arguments else None, check=False)
    if done.returncode:
        sys.exit(done.returncode)
    return json.loads(done.stdout) if done.stdout else None


def move_in(home):
    """Let server, agent and store be in a folder of the demo's own, whatever else this user has."""
    for name in [name for name in os.environ if name.startswith(("PREFECT_", "LAUNCH_JOBS_STORE"))]:
        del os.environ[name]
    os.environ |= {"LAUNCH_JOBS_HOME": str(home), "LAUNCH_JOBS_PORT": "0", "PREFECT_HOME": str(home / "prefect")}


def make_queues(cluster, registry, home):
    """The queues of queues/*.yaml, as they are for this cluster; its GPU nodes, the smallest and the largest."""
    small, *_, large = [*cluster.gpu_nodes()] * 2
    given = launch("env", "--json", quiet=True)
    command = [sys.executable, "-c", REGISTRY, registry]
    subprocess.run(command, cwd=HERE.parents[1], env={**os.environ, **given}, check=True)
    for path in sorted((HERE / "queues").glob("*.yaml")):
        queue = yaml.safe_load(path.read_text())
        queue["operator"]["namespace"] = cluster.name
        if queue["name"] == "gpu":
            queue["variables"]["gpu_type"] = large[2]
        if queue["name"] == "spot":
            queue["variables"]["gpus"] = small[0]
            queue["operator"]["priority_class"] = f"{cluster.name}-{LOW}"
            queue["operator"]["node_selector"] = {"kubernetes.io/hostname": small[1]}
        file = home / path.name
        file.write_text(json.dumps(queue))
        launch("queue", "apply", str(file))
    return small, large


def submit_all():
    """The runs, by what they are here for; `spot` first, for the others go on while it is preempted."""
    training = lj.capture_code(PROGRAMS, [sys.executable, "long_training.py"], name="long-training")
    sums = lj.capture_code(PROGRAMS, [sys.executable, "sum_ranks.py", "--numbers", str(NUMBERS)], name="sum-ranks")
    return {
        "spot": lj.submit(training, queue="spot"),
        "next": lj.submit(training, queue="spot", args=["--hours=0"]),
        "pair": lj.submit(sums, queue="pair"),
        "gpu": lj.submit("digits", queue="gpu", parameters={"n_estimators": 300}),
    }


def follow(submitted, pressed):
    """Show the runs live until they are over, and press on one of them; what is known of them then."""
    started, runs = time.monotonic(), {}
    with Live(console=console, auto_refresh=False) as live:
        while True:
            waits = next(pressed, None)
            for name, run in submitted.items():
                if name not in runs or not runs[name].state.is_final:
                    runs[name] = run.info
            live.update(table_of(runs, {"spot": f"waits for {waits}"} if waits else {}), refresh=True)
            if runs["spot"].state.is_final:
                pressed.close()  # it did not come back: then nobody else may wait for what is urgent
            if all(run.state.is_final for run in runs.values()):
                return runs
            if time.monotonic() - started > PATIENCE_S:
                sys.exit("The runs are not over after 20 minutes")
            time.sleep(0.3)


def table_of(runs, happened):
    """The runs as a table."""
    table = Table(box=SIMPLE)
    for column in ("job", "queue", "what happened", "attempts", "state", "seconds", "metric"):
        table.add_column(column, overflow="fold")
    for name, run in runs.items():
        seconds = "" if run.duration_s is None else f"{run.duration_s:.1f}"
        metric = " ".join(f"{key}={run.metrics[key]}" for key in ("accuracy", "sum", "steps") if key in run.metrics)
        job = run.job_label or run.job.partition("@")[0]
        told = happened.get(name) or run.reason or ""
        table.add_row(job, run.queue, escape(told), str(run.attempt or ""), run.state, seconds, metric)
    return table


def story_of(runs, ends, nodes, large):
    """What happened to each run, in one line."""
    lines = {name: "ran on " + ", ".join(dict.fromkeys(nodes[name].values())) for name in runs}
    lines["gpu"] += f" ({large[2]})"
    lines["pair"] += ", ranks heard each other"
    lines["next"] += ", behind it"
    if len(ends["spot"]) > 1:
        lines["spot"] = f"{ends['spot'][0].message}; came back when GPUs were free"
    return {name: line if runs[name].state == "completed" else runs[name].reason for name, line in lines.items()}


def promises_of(runs, ends, nodes, cluster):
    """What is promised, and whether it was kept."""
    small, large = cluster.gpu_nodes()[0], cluster.gpu_nodes()[-1]
    metrics = {name: run.metrics for name, run in runs.items()}
    hosts = {node for _, node, product in cluster.gpu_nodes() if product == large[2]}
    spot, behind = ends["spot"], ends["next"]
    is_complete = all(run.state == "completed" for run in runs.values())
    yield "every run completed", is_complete
    if not is_complete:
        return
    yield f"digits ran where the label says {large[2]}", set(nodes["gpu"].values()) <= hosts and nodes["gpu"]
    yield "digits learned", metrics["gpu"].get("accuracy", 0) > 0.9
    yield "two ranks added what each had", metrics["pair"] == {"sum": NUMBERS * (NUMBERS + 1) // 2, "ranks": 2}
    yield "on two nodes", len(set(nodes["pair"].values())) == 2 or len(cluster.get("nodes")) == 1
    yield "a preemption is told as one", spot[0].reason == "preempted"
    yield "the preempted run came back, once", [end.attempt for end in spot] == [1, 2]
    yield f"both times on {small[1]}", set(nodes["spot"].values()) == {small[1]}
    yield "and before the run behind it", spot[-1].ended <= (behind[0].started or "")
    yield "no other was tried again", all(len(ends[name]) == 1 for name in ("gpu", "pair", "next"))


def ends_of(store, run):
    """How each attempt of a run ended."""
    for number in range(1, (run.attempt or 0) + 1):
        if end := store.outcome(run.id, number):
            yield end


def is_empty(cluster):
    """Whether nothing of the runs is left in the namespace; what is over is removed in the background."""
    end = time.monotonic() + 60
    while cluster.get("jobs,pods,secrets,configmaps,services", "-l", ATTEMPT):
        if time.monotonic() > end:
            return False
        time.sleep(0.3)
    return True


def play(cluster, registry, home):
    """All of it; whether each promise was kept, by the promise."""
    launch("up")
    cluster.make()
    small, large = make_queues(cluster, registry, home)
    launch("up")  # its agent serves the new queues, too
    launch("run", "--name", "digits", "--", sys.executable, "train.py", "--n-estimators", "50", folder=DIGITS)
    submitted = submit_all()
    runs = follow(submitted, cluster.pressed(submitted["spot"].id, small[1], small[0]))
    store = open_store((home / "store").as_uri())
    ends = {name: [*ends_of(store, run)] for name, run in runs.items()}
    nodes = {name: cluster.nodes_of(run.id) for name, run in runs.items()}
    console.print(table_of(runs, story_of(runs, ends, nodes, large)))
    kept = dict(promises_of(runs, ends, nodes, cluster))
    return {**kept, "nothing of the runs is left in the cluster": is_empty(cluster)}


def clean_up(cluster, home):
    """Take down all that the demo made; whether that worked."""
    down = subprocess.run([sys.executable, "-m", "launch_jobs", "down", "--cancel"], cwd=HERE, check=False)
    is_gone = cluster.remove()
    shutil.rmtree(home)
    return is_gone and down.returncode == 0


def main():
    """Play, clean up, say which promises were kept."""
    registry = os.environ.get("LAUNCH_JOBS_CLUSTER_REGISTRY")
    if not registry:
        sys.exit("Name a registry that this host and the cluster's nodes reach: LAUNCH_JOBS_CLUSTER_REGISTRY=HOST:PORT")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cluster = Cluster(f"launch-demo-{uuid.uuid4().hex[:6]}")
    home = Path(tempfile.mkdtemp(prefix="launch-demo-"))
    started, kept = time.monotonic(), {}
    try:
        move_in(home)
        kept = play(cluster, registry, home)
    finally:
        kept |= {"nothing of the demo is left": clean_up(cluster, home)}
    for promise, is_kept in kept.items():
        console.print(f"{'kept  ' if is_kept else '[red]BROKEN[/red]'} {promise}", highlight=False)
    console.print(f"{time.monotonic() - started:.0f} s")
    sys.exit(0 if all(kept.values()) else 1)


if __name__ == "__main__":
    main()
