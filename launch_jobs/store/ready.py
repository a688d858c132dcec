"""Whether a folder is a job store already, without loading what opens one: a user's program waits for the answer."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import unquote, urlsplit

from launch_jobs.store.keys import MARKER

_MARK = (
    b'{"content":{"data":{"kind":"launch-jobs-store"},"key":"launch-jobs-store","schema_version":1},'
    b'"sha256":"sha256:4aae9382f70ea672b3af5c92f29f65c774e36fdd8ef0289d36b447c15fd75007"}\n'
)
"""The marker of every folder store of this schema, byte for byte."""


def is_ready(url: str) -> bool:
    """Whether a URL names a folder that can be opened as a job store, as far as a look tells; in doubt it is not."""
    try:
        parts = urlsplit(url)
        folder = Path(unquote(parts.path))
        if parts.scheme != "file" or parts.netloc or parts.query or parts.fragment or not folder.is_absolute():
            return False
        private = not folder.stat().st_mode & stat.S_IWOTH
        marked = not (folder / MARKER).is_symlink() and (folder / MARKER).read_bytes() == _MARK
        return private and marked and os.access(folder, os.W_OK | os.X_OK)
    except (OSError, ValueError):
        return False
