"""Names and labels in the form that Kubernetes takes. Pure."""

from __future__ import annotations

import hashlib
import re

from launch_jobs.errors import BadInput

OURS = "launch-jobs.org/"
"""Prefix of our labels and annotations; nobody else may set one."""

ATTEMPT_LABEL = OURS + "attempt"
"""Its value is the attempt's name; it stands on everything of an attempt."""

LABEL_KEY = r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
LABEL_VALUE = r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$"

_LONGEST = 63


def label_value(text: str) -> str:
    """The nearest label value to any text; the text itself belongs into an annotation."""
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("._-")
    return cleaned[:_LONGEST].rstrip("._-")


def dns_name(text: str, run: str = "") -> str:
    """A name by RFC 1123 from any text: `My_Job.V2` → `my-job-v2`; with a run's id it is that run's alone.

    Raises:
        BadInput: there is no letter or digit in it, and no run.
    """
    cleaned = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    tail = f"-{hashlib.sha256(run.encode()).hexdigest()[:10]}" if run else ""
    cleaned = cleaned[: _LONGEST - len(tail)].rstrip("-") or ("x" if run else "")
    if not cleaned:
        raise BadInput(f"{text[:80]!r} has no letter or digit that a name on Kubernetes can have", do="Name it anew")
    return cleaned + tail
