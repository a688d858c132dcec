"""The SDK of Kubernetes is loaded in part, and whoever wants the whole has it."""

from __future__ import annotations

import subprocess
import sys

_APART = """
import sys
from launch_jobs.cluster.sdk import sdk
parts = sdk()
assert not [name for name in sys.modules if name.startswith("kubernetes_asyncio")]
from kubernetes_asyncio.client import ApiClient, BatchV1Api, V1Job
assert ApiClient is not parts.client
assert BatchV1Api.create_namespaced_job and V1Job(kind="Job").kind == "Job"
assert sdk() is parts
"""
_WHOLE = """
import kubernetes_asyncio
from launch_jobs.cluster.sdk import sdk
assert sdk().client is kubernetes_asyncio.client.ApiClient
"""


def test_the_parts_are_apart_from_the_whole() -> None:
    """What is imported later is the whole package, and ours stays as it was."""
    subprocess.run([sys.executable, "-c", _APART], check=True, timeout=120)


def test_a_package_that_is_there_is_used() -> None:
    """Nothing is loaded twice."""
    subprocess.run([sys.executable, "-c", _WHOLE], check=True, timeout=120)
