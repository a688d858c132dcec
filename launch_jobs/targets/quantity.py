"""Kubernetes quantities (`2Gi`, `500M`, `1e3`), read exactly: floating point would round what the user wrote."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from launch_jobs.errors import BadInput

QUANTITY = r"^[0-9]{1,18}(\.[0-9]{1,18})?([KMGTPE]i|[kMGTPE]|[eE][0-9]{1,2})?$"
"""Pattern of a size in bytes, in the dialect that JSON Schema, Python and pydantic share."""

_SIZE = re.compile(r"(?P<number>[0-9]{1,18}(?:\.[0-9]{1,18})?)(?P<suffix>[KMGTPE]i|[kMGTPE]|[eE][0-9]{1,2})?")
_LARGEST = (1 << 63) - 1


def parse_quantity(text: str) -> int:
    """The bytes that a Kubernetes quantity means; fractions of a byte are rounded up, as Kubernetes does.

    Raises:
        BadInput: not a quantity (`2gb`, `1g`, `-1`), or more than 2⁶³-1.
    """
    match = _SIZE.fullmatch(text)
    if not match:
        raise BadInput(f"{text[:80]!r} is no size", do="Write a number and a unit, e.g. 512Mi, 2Gi or 1500M")
    value = math.ceil(Decimal(match["number"]) * _factor(match["suffix"] or ""))
    if value > _LARGEST:
        raise BadInput(f"the size {text!r} is larger than any machine", do="Check its unit")
    return value


def _factor(suffix: str) -> int:
    """What a suffix multiplies by: a power of 1024, of 1000, or the given exponent of ten."""
    if suffix[1:].isdigit():
        return 10 ** int(suffix[1:])
    if suffix.endswith("i"):
        return 1024 ** (1 + "KMGTPE".index(suffix[0]))
    return 1000 ** (" kMGTPE".index(suffix)) if suffix else 1
