"""An agent's log for machines: one JSON object a line, on stderr."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from typing_extensions import override

VARIABLE = "LAUNCH_JOBS_LOG_FORMAT"
_NAMES = {"run": "flow_run_id", "run_name": "flow_run_name", "task": "task_run_name"}


class JsonLines(logging.Formatter):
    """`time`, `level`, `logger`, `message`, and what is known of `run`, `run_name`, `task`, `error`."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        said |= {name: str(record.__dict__[ours]) for name, ours in _NAMES.items() if record.__dict__.get(ours)}
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said)


def is_asked_for() -> bool:
    """Whether the environment asks for it."""
    return os.environ.get(VARIABLE, "").lower() == "json"


def log_json_lines() -> None:
    """Have whatever this process logs to its console logged so, once each."""
    ours = logging.StreamHandler(sys.stderr)
    ours.setFormatter(JsonLines())
    loggers = [logging.getLogger(), *map(logging.getLogger, logging.root.manager.loggerDict)]
    for logger in loggers:
        consoles = [one for one in logger.handlers if issubclass(type(one), logging.StreamHandler)]
        for console in consoles:
            logger.removeHandler(console)
        if consoles:
            logger.addHandler(ours)
