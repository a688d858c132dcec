"""An attempt's output on its way home: appended to a local file, with a cursor from which another agent goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from launch_jobs.targets import LogChunk


class Spool:
    """Keeps an attempt's output in one file and hands whole lines to a sink, each once.

    The cursor beside the file names the last chunk that was written and handed on. After a crash the file is cut back
    to it, so that reading on from its offset neither loses nor doubles a byte.
    """

    def __init__(self, path: Path, sink: Callable[[str], None]) -> None:
        self.path = path
        self._cursor_path = path.with_suffix(".cursor")
        self._sink = sink
        self._rest = b""
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
        self._rest = bytes.fromhex(cursor["rest"])
        return str(cursor["offset"])

    def write(self, chunk: LogChunk) -> None:
        """Append a chunk, hand its whole lines on, and move the cursor."""
        self._file.write(chunk.data)
        self._file.flush()
        *lines, self._rest = (self._rest + chunk.data).split(b"\n")
        for line in lines:
            self._sink(line.decode(errors="replace").rstrip("\r"))
        self.offset = chunk.offset
        cursor = {"offset": chunk.offset, "length": self._file.tell(), "rest": self._rest.hex()}
        temporary = self._cursor_path.with_suffix(".new")
        temporary.write_text(json.dumps(cursor))
        temporary.replace(self._cursor_path)

    def release(self) -> None:
        """Close the file in the middle; another spool of the same path goes on."""
        self._file.close()

    def close(self) -> None:
        """Hand on an unfinished last line; the output is whole."""
        if self._rest:
            self._sink(self._rest.decode(errors="replace").rstrip("\r"))
            self._rest = b""
        self.release()

    def remove(self) -> None:
        """Delete the local copy; the store has the whole."""
        self.path.unlink(missing_ok=True)
        self._cursor_path.unlink(missing_ok=True)
