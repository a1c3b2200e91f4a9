"""Sessions: the runs that share a session id."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import sessions
from clew.server.parameters import After, Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/sessions")


@router.get("", response_model=sessions.SessionPage)
async def list_sessions(asking: Asking, filter: Filter = "", limit: Limit = 50, after: After = None) -> Response:
    """Sessions that match, the newest first. The runs of one: `/api/v1/runs?filter=session:ID`."""
    return await asking.reply(sessions.page, filter, limit=limit, after=after)
