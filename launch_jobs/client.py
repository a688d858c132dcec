"""The one door to the Prefect API for everything that is not a flow: connect, and translate its errors into ours."""

from __future__ import annotations

import asyncio
import json
import random
from asyncio import Future
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID
from weakref import WeakKeyDictionary

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
from prefect.utilities.asyncutils import run_coro_as_sync

from launch_jobs.errors import BadInput, LaunchError, Unavailable
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun, State
    from prefect.client.schemas.responses import DeploymentResponse

T = TypeVar("T")

FLOW_LABEL = "launch.flow"
"""Label of a run that carries its deployment's flow entrypoint and default job variables; agents read no deployment."""

_MOMENT_S = 2.0
_TOO_MUCH = {429, 502, 503, 504}
_PATIENCE_S = 180.0
_AGAIN_S = 2.0


class Overloaded(Unavailable):
    """The Prefect server is there, and has too much to do; asked later it answers."""


@asynccontextmanager
async def connect() -> AsyncGenerator[PrefectClient]:
    """A client of the Prefect server that this process's settings name.

    Raises:
        Unavailable: no server is named, it does not answer, or it answers that it is overloaded.
        BadInput: the server refuses the request; its own words are given.
    """
    if not PREFECT_API_URL.value():
        raise Unavailable("No Prefect server is known here", do="Run `launch up`, or set PREFECT_API_URL")
    async with translated_errors():
        shared = _open_here()
        async with shared.client as client:
            try:
                yield client
            finally:
                shared.users -= 1
                if not shared.users and _open.get(asyncio.get_running_loop()) is shared:
                    del _open[asyncio.get_running_loop()]


@dataclass
class _Shared:
    """A client that all who need one at the same time share: making one costs 20 ms, and asks the server for a token.

    It closes with the last of them.
    """

    client: PrefectClient
    server: tuple[object, ...]
    users: int = 0
    answers: dict[str, tuple[float, Future[object]]] = field(default_factory=dict[str, "tuple[float, Future[object]]"])


_open: WeakKeyDictionary[asyncio.AbstractEventLoop, _Shared] = WeakKeyDictionary()


def _open_here() -> _Shared:
    loop = asyncio.get_running_loop()
    server = PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value()
    shared = _open.get(loop)
    if shared is None or shared.server != server:
        shared = _open[loop] = _Shared(get_client(), server)
    shared.users += 1
    return shared


async def at_once(client: PrefectClient, what: str, read: Callable[[], Coroutine[object, object, T]]) -> T:
    """Read something from the server; those who ask for the same within a moment, by one shared client, ask once."""
    loop = asyncio.get_running_loop()
    shared = _open.get(loop)
    if shared is None or shared.client is not client:
        return await read()
    asked, answer = shared.answers.get(what, (0.0, None))
    if answer is None or loop.time() - asked > _MOMENT_S:
        answer = cast("Future[object]", asyncio.ensure_future(read()))
        shared.answers[what] = loop.time(), answer
        answer.add_done_callback(lambda done: _forget_failure(shared, what, done))
    # Who is cancelled while waiting leaves the others their answer.
    return cast("T", await asyncio.shield(answer))


@asynccontextmanager
async def translated_errors() -> AsyncGenerator[None]:
    """Turn what the Prefect client raises into our errors."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _from_status(error) from error
    except (httpx.TransportError, httpx.TimeoutException) as error:
        raise (Overloaded if isinstance(error, httpx.ReadTimeout) else Unavailable)(
            f"The Prefect server at {PREFECT_API_URL.value()} does not answer ({type(error).__name__})",
            do="Start it with `launch up`, or check PREFECT_API_URL",
        ) from error
    except RuntimeError as error:
        # The client says "Failed to reach API at …" by a bare RuntimeError, when its first call finds no server.
        if "Failed to reach API" not in str(error):
            raise
        raise Unavailable(
            f"The Prefect server at {PREFECT_API_URL.value()} does not answer",
            do="Start it with `launch up`, or check PREFECT_API_URL",
        ) from error
    except PrefectException as error:
        raise BadInput(f"The Prefect server refuses: {error}") from error


async def despite_load(call: Callable[[], Coroutine[object, object, T]]) -> T:
    """Repeat an idempotent call for three minutes while the server has too much to do.

    Prefect's own client has asked five times by then: a burst of submits on SQLite takes longer.
    """
    loop = asyncio.get_running_loop()
    until = loop.time() + _PATIENCE_S
    while True:
        try:
            return await call()
        except Overloaded:
            if loop.time() > until:
                raise
        await asyncio.sleep(random.uniform(_AGAIN_S, 2 * _AGAIN_S))  # noqa: S311 - no secret


def _forget_failure(shared: _Shared, what: str, answer: Future[object]) -> None:
    """What failed is asked again by the next one, and its error counts as seen."""
    if (answer.cancelled() or answer.exception()) and shared.answers.get(what, (0.0, None))[1] is answer:
        del shared.answers[what]


def is_away(error: httpx.HTTPError) -> bool:
    """Whether the server did not answer, or cannot for now: not that it refuses what it was asked."""
    if isinstance(error, httpx.HTTPStatusError):
        return isinstance(_from_status(error), Unavailable)
    return isinstance(error, httpx.TransportError)


def _from_status(error: httpx.HTTPStatusError) -> LaunchError:
    status = error.response.status_code
    if status in {401, 403}:
        return Unavailable(
            f"The Prefect server at {PREFECT_API_URL.value()} refuses our credential ({status})",
            do="Check PREFECT_API_AUTH_STRING; `launch env` prints the embedded server's",
        )
    if status == 429 or status >= 500:
        return (Overloaded if status in _TOO_MUCH else Unavailable)(
            f"The Prefect server is overloaded or in trouble ({status})", do="Try again"
        )
    return BadInput(f"The Prefect server refuses ({status}): {_detail(error.response)}")


def _detail(response: httpx.Response) -> str:
    try:
        body = response.json()
    except json.JSONDecodeError:
        return response.text[:300]
    detail = body.get("detail", body) if isinstance(body, dict) else body  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType] - foreign JSON, only printed
    return str(detail)[:500]  # pyright: ignore[reportUnknownArgumentType] - as above


def wait_for(work: Coroutine[object, object, T]) -> T:
    """Run a coroutine to its end from synchronous code, also where an event loop is running (a flow, a notebook)."""
    return run_coro_as_sync(work)  # pyright: ignore[reportReturnType] - None only for a cancelled call


async def create_run(
    client: PrefectClient, entry: DeploymentResponse, body: JsonObject, state: JsonObject | None = None
) -> FlowRun:
    """Create a flow run of a deployment, scheduled (or in another state), on the work queue that one of them names.

    Its scheduled time is the server's: `PrefectClient.create_flow_run_from_deployment` sends this machine's clock, and
    a client whose clock is slow would jump the queue. And it is made as a run, not from its deployment: there the
    server would check parameters and job variables once more (30 ms of its CPU), which submit and agent do themselves.
    """
    from prefect.client.schemas.objects import FlowRun

    whole: JsonObject = {
        "work_queue_name": entry.work_queue_name,
        **body,
        "labels": {**cast("JsonObject", body.get("labels", {})), FLOW_LABEL: entry.entrypoint or ""},
        "job_variables": {
            **cast("JsonObject", entry.job_variables or {}),
            **cast("JsonObject", body.get("job_variables", {})),
        },
        "state": state or {"type": "SCHEDULED"},
        "flow_id": str(entry.flow_id),
        "deployment_id": str(entry.id),
        "work_pool_name": entry.work_pool_name,
    }
    response = await client.request("POST", "/flow_runs/", json=whole)
    return FlowRun.model_validate(response.json())


async def schedule_again(client: PrefectClient, run: UUID, message: str) -> State[Any] | None:
    """Put a run back on its queue, at a time that the server's clock says.

    Args:
        client: an open Prefect client.
        run: its id.
        message: why.

    Returns:
        The state it is in now: another one, if the server refused (untyped in its result, as everywhere in Prefect).
    """
    from prefect.client.schemas.objects import State

    proposed: JsonObject = {"type": "SCHEDULED", "name": "AwaitingRetry", "message": message}
    response = await client.request(
        "POST", "/flow_runs/{id}/set_state", path_params={"id": run}, json={"state": proposed}
    )
    state = response.json()["state"]
    return State[Any].model_validate(state) if state else None
