"""A job that floods: $1 lines at $2 a second, some of 1 MB, some not UTF-8, some bars; their digest goes to file $3."""

import hashlib
import sys
import time
from pathlib import Path

_TICKS = 20


def line(number: int, moment: float) -> bytes:
    """The so-many-th line: its number, its time, and something hard to keep."""
    head = b"%d %.3f " % (number, moment)
    if number % 20_000 == 10_000:
        return head + b"x" * 1_000_000 + b"\n"
    if number % 1000 == 500:
        return head + b"\xff\xfe caf\xe9\n"
    if number % 500 == 250:
        return head + b"".join(b"\r%3d %%" % percent for percent in range(0, 101, 20)) + b"\n"
    return head + b"loss=0.123 accuracy=0.987\n"


def main() -> None:
    """Write in ticks, so that the rate holds on the whole."""
    count, rate = int(sys.argv[1]), int(sys.argv[2])
    digest, begin = hashlib.sha256(), time.monotonic()
    for first in range(0, count, rate // _TICKS):
        time.sleep(max(0.0, begin + first / rate - time.monotonic()))
        some = b"".join(line(number, time.time()) for number in range(first, min(count, first + rate // _TICKS)))
        digest.update(some)
        sys.stdout.buffer.write(some)
        sys.stdout.buffer.flush()
    Path(sys.argv[3]).write_text(digest.hexdigest())


main()
