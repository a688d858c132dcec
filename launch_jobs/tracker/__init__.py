"""What runs inside the user's own interpreter: standard library only, CPython 3.8 and later."""

from __future__ import annotations

from pathlib import Path

INJECT = Path(__file__).parent / "inject"
"""The folder that goes first on PYTHONPATH of a tracked program."""

PROBE = Path(__file__).parent / "probe.py"
"""The script that lists what is installed in an interpreter."""
