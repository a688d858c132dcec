"""The stock worker's no-op job: a flow that says when its first line ran."""

import time

from prefect import flow


@flow(log_prints=True, persist_result=False)
def noop() -> None:
    """Print the time of the first line of user code."""
    print(f"first-line {time.time():.6f}")
