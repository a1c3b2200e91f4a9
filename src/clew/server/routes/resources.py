"""What processes, machines and databases use."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import resources
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/resources")


@router.get("", response_model=resources.Resources)
async def list_resources(asking: Asking) -> Response:
    """The newest figure of each series of CPU, memory, I/O, connections and database memory, by OpenTelemetry's names."""
    return await asking.reply(resources.resources)
