"""The same jobs as flows, for a stock process worker."""

from __future__ import annotations

import subprocess

from prefect import flow


@flow(persist_result=False)
def work(words: list[str]) -> None:
    """Run the job."""
    subprocess.run(["sh", *words], check=True)


@flow(persist_result=False, log_prints=True)
def flood(words: list[str]) -> None:
    """Run a program, and show its output as Prefect shows what a flow prints."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        for line in process.stdout or ():
            print(line.rstrip("\n"))
    if process.returncode:
        raise RuntimeError(f"Exited with code {process.returncode}")
