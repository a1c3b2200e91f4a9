"""What came in, and what became of it."""

from __future__ import annotations

from fastapi import APIRouter

from clew.errors import NotFound
from clew.observe.ingest.collector import Stats
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1")


@router.get("/stats")
async def stats(asking: Asking) -> Stats:
    """The collector's account, for each signal and sender: received = stored + rejected + waiting."""
    if asking.collector is None:
        raise NotFound("this server collects nothing")
    return asking.collector.stats()
