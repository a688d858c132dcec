"""The one door to the Prefect API for everything that is not a flow: connect, and translate its errors into ours."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import get_client
from prefect.exceptions import PrefectException
from prefect.settings import PREFECT_API_URL
from prefect.utilities.asyncutils import run_coro_as_sync

from launch_jobs.errors import BadInput, LaunchError, Unavailable
from launch_jobs.job import JsonObject

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient
    from prefect.client.schemas.objects import FlowRun

T = TypeVar("T")


@asynccontextmanager
async def connect() -> AsyncGenerator[PrefectClient]:
    """A client of the Prefect server that this process's settings name.

    Raises:
        Unavailable: no server is named, it does not answer, or it answers that it is overloaded.
        BadInput: the server refuses the request; its own words are given.
    """
    if not PREFECT_API_URL.value():
        raise Unavailable("No Prefect server is known here", do="Run `launch up`, or set PREFECT_API_URL")
    async with translated_errors(), get_client() as client:
        yield client


@asynccontextmanager
async def translated_errors() -> AsyncGenerator[None]:
    """Turn what the Prefect client raises into our errors."""
    try:
        yield
    except httpx.HTTPStatusError as error:
        raise _from_status(error) from error
    except (httpx.TransportError, httpx.TimeoutException) as error:
        raise Unavailable(
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


def _from_status(error: httpx.HTTPStatusError) -> LaunchError:
    status = error.response.status_code
    if status in {401, 403}:
        return Unavailable(
            f"The Prefect server at {PREFECT_API_URL.value()} refuses our credential ({status})",
            do="Check PREFECT_API_AUTH_STRING; `launch env` prints the embedded server's",
        )
    if status == 429 or status >= 500:
        return Unavailable(f"The Prefect server is overloaded or in trouble ({status})", do="Try again")
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


async def create_run(client: PrefectClient, deployment: UUID, body: JsonObject) -> FlowRun:
    """Create a flow run of a deployment without a state, so that the server's clock mints its scheduled time.

    `PrefectClient.create_flow_run_from_deployment` sends `Scheduled()` with this machine's clock: a client whose clock
    is slow would jump the queue.
    """
    from prefect.client.schemas.objects import FlowRun

    response = await client.request(
        "POST", "/deployments/{id}/create_flow_run", path_params={"id": deployment}, json=body
    )
    return FlowRun.model_validate(response.json())
