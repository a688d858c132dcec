"""An attempt's output on its way home: appended to a local file, with a cursor from which another agent goes on."""

from __future__ import annotations

import json
from pathlib import Path

from launch_jobs.redaction import Redactor
from launch_jobs.settings import LaunchSettings
from launch_jobs.targets import LogChunk

LIMIT = 1 << 30
"""Most bytes of one attempt's output that are kept: a program that prints for ever must not fill this host's disk."""


class Spool:
    """Keeps an attempt's output in one file, byte for byte but for secrets, up to a limit.

    The cursor beside the file names the last chunk that was written. After a crash the file is cut back to it, so that
    reading on from its offset neither loses nor doubles a byte.
    """

    def __init__(self, path: Path, limit: int = LIMIT, *, hide: Redactor | None = None) -> None:
        self.path = path
        self._cursor_path = path.with_suffix(".cursor")
        self._limit = limit
        self._left_out = 0
        self._hide = hide
        self._held = b""
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.offset = self._recover()
        self._file = path.open("ab")

    def _recover(self) -> str | None:
        try:
            cursor = json.loads(self._cursor_path.read_bytes())
        except (FileNotFoundError, json.JSONDecodeError):
            self.path.unlink(missing_ok=True)
            return None
        with self.path.open("r+b") as file:
            file.truncate(int(cursor["length"]))
        self._left_out = int(cursor.get("left_out", 0))
        self._held = bytes.fromhex(cursor.get("held", ""))
        return str(cursor["offset"])

    def write(self, chunk: LogChunk) -> None:
        """Append a chunk and move the cursor. What is over the limit is only counted."""
        data = chunk.data
        if self._hide:
            data, self._held = self._hide.feed(self._held + data)
        self._append(data)
        self.offset = chunk.offset
        cursor = {"offset": chunk.offset, "length": self._file.tell(), "left_out": self._left_out}
        if self._held:
            cursor["held"] = self._held.hex()
        temporary = self._cursor_path.with_suffix(".new")
        temporary.write_text(json.dumps(cursor))
        temporary.replace(self._cursor_path)

    def _append(self, data: bytes) -> None:
        room = max(0, self._limit - self._file.tell())
        self._file.write(data[:room])
        self._file.flush()
        self._left_out += max(0, len(data) - room)

    def release(self) -> None:
        """Close the file in the middle; another spool of the same path goes on."""
        self._file.close()

    def close(self) -> None:
        """The output is whole, or says how much of it is not there."""
        if self._hide:
            self._append(self._hide.end(self._held))
        if self._left_out:
            note = f"\n… {self._left_out:,} bytes left out: this log is over its limit of {self._limit:,} bytes\n"
            self._file.write(note.encode())
        self.release()

    def remove(self) -> None:
        """Delete the local copy; the store has the whole."""
        remove_spool(self.path)


def log_path(settings: LaunchSettings, attempt: str) -> Path:
    """Where an attempt's output is on its way home; the file is made as soon as its container or process is there."""
    return settings.home / "logs" / "runs" / f"{attempt}.log"


def remove_spool(log: Path) -> None:
    """Delete what there is of an attempt's output on this host, with its cursors."""
    for path in (log, log.with_suffix(".cursor"), log.with_suffix(".live")):
        path.unlink(missing_ok=True)
