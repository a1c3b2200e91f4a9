"""Agents over many runs: who works with whom, and how one of them performs."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import agent_graph, agent_profile
from clew.server.parameters import Filter, Leaves, Limit
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/agents")


@router.get("", response_model=agent_graph.AgentGraph)
async def agents_of_runs(asking: Asking, filter: Filter = "", limit: Limit = 100, with_: Leaves = None) -> Response:
    """The agents of the newest runs that match, and who called, delegated to or messaged whom."""
    return await asking.reply(agent_graph.of_runs, filter, limit=limit, leaves=with_ or ())


@router.get("/profile", response_model=agent_profile.AgentProfile)
async def one_agent(
    asking: Asking,
    agent: Annotated[str, Query(max_length=20_000, description="Its name.")],
    filter: Filter = "",
    limit: Limit = 100,
) -> Response:
    """How one agent performs in the newest runs that match and that it is in."""
    return await asking.reply(agent_profile.profile, agent, filter, limit=limit)
