"""A container's output as the engine sends it: whole frames, an error where it breaks, an end from any thread.

The SDK's own stream hides a broken connection as an end, and leaks its socket when closed early.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Protocol, cast

import requests

from launch_jobs.engine import Engine, EngineRefused, errors
from launch_jobs.errors import NotFound, Unavailable

_HEADER = struct.Struct(">BxxxL")
_ANSWER_S = 60.0


class _Session(Protocol):
    """The SDK's client is a requests session; this is what we need of it."""

    base_url: str
    api_version: str

    def get(
        self, url: str, *, params: Mapping[str, object], stream: bool, timeout: tuple[float, float | None]
    ) -> requests.Response: ...


class _Raw(Protocol):
    """urllib3's response."""

    def stream(self, amt: int) -> Iterator[bytes]: ...
    def shutdown(self) -> None: ...


class ContainerStream:
    """What a container prints, both streams in the order the engine kept, each line behind its time.

    Args:
        engine: where it is.
        container: its name.
        since: seconds since 1970 from which on; 0: from the beginning.
        follow: go on until the container ends.

    Raises:
        NotFound: there is no such container.
        Unavailable: the engine does not answer.
    """

    def __init__(self, engine: Engine, container: str, *, since: int, follow: bool) -> None:
        session = cast("_Session", engine)
        params = {"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow), "since": since}
        url = f"{session.base_url}/v{session.api_version}/containers/{container}/logs"
        with errors():
            # A container that is followed may be silent for days; one that has ended is not.
            patience = (_ANSWER_S, None if follow else _ANSWER_S)
            self._response = session.get(url, params=params, stream=True, timeout=patience)
        if self._response.status_code != requests.codes.ok:
            with self._response, errors():
                text = self._response.text.strip()[:500]
            kind = NotFound if self._response.status_code == requests.codes.not_found else EngineRefused
            raise kind(f"Docker Engine: no log of {container}: {text}")

    def __iter__(self) -> Iterator[bytes]:
        """Each line (or, of a long one, a piece) with the newline it had.

        Raises:
            Unavailable: the stream broke.
        """
        raw = cast("_Raw", self._response.raw)
        with self._response, errors():
            yield from frames(raw.stream(1 << 16))

    def close(self) -> None:
        """End a read that waits in another thread, which then lets the connection go."""
        with suppress(ValueError, OSError):  # it has ended already
            cast("_Raw", self._response.raw).shutdown()


def frames(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The payloads of Docker's multiplexed stream (8 bytes of header each: stream, length).

    Raises:
        Unavailable: the stream ends inside a frame.
    """
    rest = b""
    for chunk in chunks:
        data, position = rest + chunk, 0
        while position + _HEADER.size <= len(data):
            _, length = cast("tuple[int, int]", _HEADER.unpack_from(data, position))
            end = position + _HEADER.size + length
            if end > len(data):
                break
            yield data[position + _HEADER.size : end]
            position = end
        rest = data[position:]
    if rest:
        raise Unavailable("the log stream of the Docker Engine broke off", do="Try again")
