"""Agents over many runs."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from clew.observe.query import agent_graph
from clew.server.parameters import Filter, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/agents")


@router.get("", response_model=agent_graph.AgentGraph)
async def agents_of_runs(asking: Asking, filter: Filter = "", limit: Limit = 100) -> Response:
    """The agents of the newest runs that match, and who called, delegated to or messaged whom."""
    return await asking.reply(agent_graph.of_runs, filter, limit=limit)
