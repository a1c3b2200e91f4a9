"""What model calls cost."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import costs
from clew.server.parameters import Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/costs")


@router.get("", response_model=costs.Costs)
async def list_costs(
    asking: Asking,
    by: Annotated[str, Query(max_length=64, description=f"One of {', '.join(costs.KEYS)}.")] = "model",
    filter: Filter = "",
    limit: Limit = 100,
) -> Response:
    """Cost of the model calls that match, by one key and in all."""
    return await asking.reply(costs.costs, by=by, limit=limit, where=filter)
