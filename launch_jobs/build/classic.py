"""The classic builder through the Docker SDK, as a process of its own: to end it is to end the build.

`python -m launch_jobs.build.classic TAG DOCKERFILE NETWORK < context.tar`, for where there is no BuildKit client.
"""

from __future__ import annotations

import sys

from launch_jobs.engine import opened
from launch_jobs.errors import LaunchError


def main(tag: str, dockerfile: str, network: str) -> int:
    """Build what standard input holds; print what the engine says; 0 if the image is there."""
    with opened() as engine:
        steps = engine.build(
            fileobj=sys.stdin.buffer,
            custom_context=True,
            dockerfile=dockerfile,
            tag=tag,
            rm=True,
            forcerm=True,
            network_mode=network or None,
            decode=True,
        )
        for step in steps:
            print(step.get("stream") or step.get("error") or step.get("status") or "", end="", flush=True)
            if "error" in step:
                return 1
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except LaunchError as error:
        sys.exit(str(error))
