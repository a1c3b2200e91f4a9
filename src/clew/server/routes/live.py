"""Live tail as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.exceptions import HTTPException
from starlette.responses import StreamingResponse

from clew.observe.query import logs, search
from clew.server.live import LISTENERS, Of
from clew.server.parameters import Filter
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/live")

_CONTENT = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}, "description": "Events, until one side ends it"}}
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.get("", response_class=StreamingResponse, responses=_CONTENT)  # type: ignore[arg-type]  # 200 is a key like the others
async def listen(
    asking: Asking, filter: Filter = "", of: Annotated[Of, Query(description="What to listen for.")] = "spans"
) -> StreamingResponse:
    """What is stored from now on and matches, as server-sent events."""
    await asking.ask(search.condition_of if of == "spans" else _check_logs, filter)
    live = asking.live
    if live.is_full:
        raise HTTPException(503, f"{LISTENERS} others are listening; close a window")

    async def events() -> AsyncIterator[bytes]:
        listener = live.listen(of, filter)
        try:
            async for event in listener.events():
                yield event
        finally:
            live.leave(listener)

    return StreamingResponse(events(), media_type="text/event-stream", headers=_HEADERS)


def _check_logs(_: object, text: str) -> object:
    return logs.condition_of(text)
