"""What takeovers leave on the server when their agent dies: variables whose names made one agent the only one."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING
from uuid import UUID

from prefect.exceptions import ObjectNotFound

if TYPE_CHECKING:
    from prefect.client.orchestration import PrefectClient

ADOPTION = "launch-adopt-"
_MOST = 200
_ID_LENGTH = 36


async def sweep_adoptions(client: PrefectClient) -> int:
    """Delete the variables of takeovers whose run is over, or gone; how many. Those of others may be in use."""
    names = [one.name for one in await client.read_variables(limit=_MOST) if one.name.startswith(ADOPTION)]
    swept = 0
    for name in names:
        if await _is_over(client, name.removeprefix(ADOPTION)[:_ID_LENGTH]):
            with suppress(ObjectNotFound):
                await client.delete_variable_by_name(name)
                swept += 1
    return swept


async def _is_over(client: PrefectClient, run: str) -> bool:
    try:
        found = await client.read_flow_run(UUID(run))
    except ObjectNotFound:
        return True
    except ValueError:  # somebody else's name
        return False
    return found.state is not None and found.state.is_final()
