"""Search over spans."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import search
from clew.server.parameters import After, Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/spans")


@dataclass(frozen=True, slots=True)
class Count:
    """How many spans match."""

    count: int


@router.get("", response_model=search.Hits)
async def list_spans(asking: Asking, filter: Filter = "", limit: Limit = 50, after: After = None) -> Response:
    """Spans that match, newest first."""
    return await asking.reply(search.search, filter, limit=limit, after=after)


@router.get("/count")
async def count(asking: Asking, filter: Filter = "") -> Count:
    """How many spans match, each once; unlike a page it reads all that the filter's times do not rule out."""
    return Count(await asking.ask(search.count, filter))
