"""Counts of values in a list."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import facets
from clew.server.parameters import Filter
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/facets")


@router.get("", response_model=facets.Facets)
async def list_facets(
    asking: Asking,
    of: Annotated[facets.Of, Query(description="The list that is counted.")] = "spans",
    filter: Filter = "",
    values: Annotated[int, Query(ge=1, le=100, description="Most values of each field.")] = 8,
) -> Response:
    """How often each value of some fields occurs in all that matches."""
    return await asking.reply(facets.facets, filter, of=of, values=values)
