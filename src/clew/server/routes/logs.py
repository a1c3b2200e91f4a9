"""Search over log records."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import logs
from clew.server.parameters import After, Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/logs")


@router.get("", response_model=logs.LogPage)
async def list_logs(asking: Asking, filter: Filter = "", limit: Limit = 100, after: After = None) -> Response:
    """Log records that match, newest first. Those of a run: `/api/v1/logs?filter=run:ID`."""
    return await asking.reply(logs.page, filter, limit=limit, after=after)
