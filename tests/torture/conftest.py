"""The torture set's report: one line a row, when `scripts/torture` asks for it."""

from __future__ import annotations

import os

import pytest


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print id, what, and how it ended."""
    if not os.environ.get("LAUNCH_TORTURE"):
        return
    lines: list[str] = []
    for kind in ("passed", "failed", "skipped"):
        for report in terminalreporter.getreports(kind):
            about = dict(report.user_properties)
            if "row" in about and report.when == ("setup" if report.skipped else "call"):
                ended = about["ended"] if report.passed else "FAILED" if report.failed else "skipped"
                lines.append(f"{about['row']}  {about['what']:<66}  {ended}")
    terminalreporter.write_line("\n".join(sorted(lines)))
