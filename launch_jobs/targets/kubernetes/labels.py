"""Names and labels in the form that Kubernetes takes. Pure."""

from __future__ import annotations

import re

OURS = "launch-jobs.org/"
"""Prefix of our labels and annotations; nobody else may set one."""

ATTEMPT_LABEL = OURS + "name"
"""Its value is the attempt's name; it stands on everything of an attempt."""

LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"

_LONGEST = 63


def label_value(text: str) -> str:
    """The nearest label value to any text; the text itself belongs into an annotation."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")
    return cleaned[:_LONGEST].rstrip("._-")
