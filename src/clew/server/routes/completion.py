"""What a filter may say next."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import completion
from clew.server.parameters import Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/completion")

Of = Annotated[completion.Of, Query(description="The list that the filter is for.")]
Prefix = Annotated[str, Query(max_length=500, description="What the texts begin with, in any case.")]


@router.get("/fields")
async def fields(of: Of = "spans") -> list[completion.FieldHelp]:
    """The fields that a filter may name."""
    return completion.field_help(of)


@router.get("/attributes", response_model=completion.Suggestions)
async def attributes(asking: Asking, of: Of = "spans", prefix: Prefix = "", limit: Limit = 20) -> Response:
    """Names of attributes in recent records, most frequent first."""
    return await asking.reply(completion.attributes, prefix, of=of, limit=limit)


@router.get("/values", response_model=completion.Suggestions)
async def values(
    asking: Asking,
    field: Annotated[str, Query(min_length=1, max_length=500, description="A field, or @ and the name of an attribute.")],
    of: Of = "spans",
    prefix: Prefix = "",
    limit: Limit = 20,
) -> Response:
    """Values of a field in recent records, most frequent first."""
    return await asking.reply(completion.values, field, prefix, of=of, limit=limit)
