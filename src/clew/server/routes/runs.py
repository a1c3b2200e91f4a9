"""Runs: the list, the structure of one, and what its spans hold, on demand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import agent_graph, agent_trace, diff, messages, oddities, runs, structure, traces
from clew.server.parameters import After, Filter, Limit, RunId, SpanId
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/runs")


@router.get("", response_model=runs.RunPage)
async def list_runs(asking: Asking, filter: Filter = "", limit: Limit = 50, after: After = None) -> Response:
    """Runs that match, newest first."""
    return await asking.reply(runs.page, filter, limit=limit, after=after)


@router.get("/{run_id}", response_model=structure.Structure)
async def one_run(
    asking: Asking,
    run_id: RunId,
    limit: Annotated[int, Query(ge=1, le=structure.MOST_SPANS, description="Most spans.")] = structure.MOST_SPANS,
) -> Response:
    """One run and the structure of its trace as columns; attributes, events and content are fetched for each span."""
    return await asking.reply(structure.structure, run_id, limit=limit)


@router.get("/{run_id}/spans/{span_id}", response_model=structure.SpanDetail)
async def one_span(asking: Asking, run_id: RunId, span_id: SpanId) -> Response:
    """One span: everything but the text of its content."""
    return await asking.reply(structure.span, run_id, span_id)


@router.get("/{run_id}/spans/{span_id}/contents", response_model=dict[str, str])
async def contents(asking: Asking, run_id: RunId, span_id: SpanId) -> Response:
    """Content of one span: attribute name to text, byte for byte as it was sent."""
    return await asking.reply(traces.contents, run_id, span_id)


@router.get("/{run_id}/messages", response_model=messages.Messages)
async def list_messages(
    asking: Asking,
    run_id: RunId,
    span: Annotated[str | None, Query(max_length=64, description="Only of this span.")] = None,
    limit: Limit = 500,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="Messages to leave out before the first.")] = 0,
) -> Response:
    """What people and models said to each other, in the order of the spans."""
    return await asking.reply(messages.messages, run_id, span_id=span, limit=limit, offset=offset)


@router.get("/{run_id}/oddities", response_model=oddities.Oddities)
async def list_oddities(asking: Asking, run_id: RunId, limit: Limit = 20) -> Response:
    """What looks wrong though nothing failed: empty results, and tools that were asked the same again and again."""
    return await asking.reply(oddities.oddities, run_id, limit=limit)


@router.get("/{run_id}/agent-trace", response_model=agent_trace.AgentTraces)
async def one_agent_trace(asking: Asking, run_id: RunId) -> Response:
    """What each agent decided, why, over which alternatives, and what it used: all decisions of the run."""
    return await asking.reply(agent_trace.agent_trace, run_id)


@router.get("/{run_id}/agents", response_model=agent_graph.AgentGraph)
async def agents_of_run(asking: Asking, run_id: RunId) -> Response:
    """The agents of the run, and who called, delegated to or messaged whom."""
    return await asking.reply(agent_graph.of_run, run_id)


@router.get("/{run_id}/diff/{other_id}", response_model=diff.Diff)
async def one_diff(asking: Asking, run_id: RunId, other_id: RunId) -> Response:
    """Two runs side by side: each step in the one and in the other, and decisions that went another way."""
    return await asking.reply(diff.diff, run_id, other_id)
