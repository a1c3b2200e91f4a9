"""Figures over spans, by any field and over time; profiles."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import aggregates
from clew.server.parameters import Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1")

By = Annotated[
    str, Query(max_length=500, description=f"One of {', '.join(aggregates.KEYS)}, or @ and an attribute; nothing is all together.")
]
Bucket = Annotated[str | None, Query(max_length=20, description="Length of a bucket of time, such as 1m; nothing is no buckets.")]


@router.get("/aggregates", response_model=aggregates.Aggregates)
async def list_aggregates(asking: Asking, filter: Filter = "", by: By = "", bucket: Bucket = None, limit: Limit = 20) -> Response:
    """Count, errors, percentiles of duration, tokens and cost of the spans that match."""
    return await asking.reply(aggregates.aggregate, filter, by=by, bucket=bucket, limit=limit)


@router.get("/profiles", response_model=aggregates.Profiles)
async def list_profiles(asking: Asking, filter: Filter = "", limit: Limit = 100) -> Response:
    """How the operations of agents perform, over the spans that match."""
    return await asking.reply(aggregates.profiles, filter, limit=limit)
