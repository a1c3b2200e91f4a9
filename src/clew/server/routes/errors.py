"""Failures as groups."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from clew.observe.query.errors import detail, groups
from clew.server.parameters import After, Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/errors")


@router.get("", response_model=groups.Errors)
async def list_errors(
    asking: Asking,
    filter: Filter = "",
    order: Annotated[
        groups.Order, Query(description="What comes first: most failures or runs, the last or first that is newest, what is new.")
    ] = "count",
    state: Annotated[groups.State | None, Query(description="Only errors of that state.")] = None,
    limit: Limit = 50,
    bars: Annotated[int, Query(ge=1, le=groups.BARS, description="About how many buckets of time.")] = 24,
) -> Response:
    """Failures where they began, grouped by fingerprint, of the spans that match."""
    return await asking.reply(groups.errors, filter, order=order, state=state, limit=limit, bars=bars)


@router.get("/{fingerprint}", response_model=detail.ErrorDetail)
async def one_error(
    asking: Asking,
    fingerprint: Annotated[str, Path(max_length=64, description="Fingerprint: all of it, or its beginning.")],
    filter: Filter = "",
    limit: Limit = 50,
    bars: Annotated[int, Query(ge=1, le=groups.BARS, description="About how many buckets of time.")] = 60,
    after: After = None,
) -> Response:
    """One error: its failures, newest first, the stack of one, and what sets their spans apart."""
    return await asking.reply(detail.detail, fingerprint, filter, limit=limit, bars=bars, after=after)
