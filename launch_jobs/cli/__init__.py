"""The `launch` command: parse, call, print. Nothing heavy is imported before a command's body runs."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of this process and exit with its code (DESIGN 9)."""
    from launch_jobs.cli.entry import run

    sys.exit(run(sys.argv[1:]))
