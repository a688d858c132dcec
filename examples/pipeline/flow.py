"""Train three times, take the best, evaluate it, report: a user's own Prefect flow over jobs on a launch queue."""

import argparse
import sys
from pathlib import Path

from prefect import flow, unmapped
from prefect.artifacts import create_markdown_artifact
from prefect.futures import wait
from prefect.states import Failed

import launch_jobs as lj
from launch_jobs.tasks import capture_folder, run_job

HERE = Path(__file__).parent


@flow(log_prints=True)
def pipeline(queue: str = "process", learning_rates: list[float] = [0.003, 0.03, 0.3]):  # noqa: B006 - only read
    train = capture_folder.submit(HERE, [sys.executable, "steps/train.py"])
    evaluate = capture_folder.submit(HERE, [sys.executable, "steps/evaluate.py"])

    arguments = [[f"--learning-rate={rate}"] for rate in learning_rates]
    trainings = run_job.map(unmapped(train), queue=queue, args=arguments)
    wait(trainings)
    done = [training.result() for training in trainings if training.state.is_completed()]
    if not done:
        return Failed(message=f"None of the {len(trainings)} training runs completed; `launch list` says why")

    best = min(done, key=lambda run: run.metrics["loss"])
    result = run_job(evaluate, queue=queue, datasets={"model": best.output_url("model.json")})
    rows = [f"| {run.name} | {run.metrics['loss']} |" for run in sorted(done, key=lambda run: run.metrics["loss"])]
    report = ["| training | loss |", "| --- | --- |", *rows, "", f"Best: **{best.name}**, {result.metrics}"]
    create_markdown_artifact("\n".join(report), key="pipeline-report")
    print(*report, sep="\n")
    return result.metrics


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queue", default="process", help="launch queue, e.g. docker")
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[0.003, 0.03, 0.3])
    lj.use_server()  # what `launch up` or `launch connect` left, unless PREFECT_API_URL names another
    sys.exit(0 if pipeline(**vars(parser.parse_args()), return_state=True).is_completed() else 1)
