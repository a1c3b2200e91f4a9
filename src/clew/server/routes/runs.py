"""Runs: the list, the structure of one, and what its spans hold, on demand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from clew.observe.query import (
    agent_graph,
    agent_trace,
    call_cost,
    diff,
    messages,
    oddities,
    run_summary,
    runs,
    structure,
    traces,
    transcript,
)
from clew.server.parameters import After, Filter, Leaves, Limit, RunId, SpanId
from clew.server.served import Asking

router = APIRouter(prefix="/api/v1/runs")


@router.get("", response_model=runs.RunPage)
async def list_runs(asking: Asking, filter: Filter = "", limit: Limit = 50, after: After = None) -> Response:
    """Runs that match, newest first."""
    return await asking.reply(runs.page, filter, limit=limit, after=after)


@router.get("/summary", response_model=run_summary.RunSummary)
async def summary(
    asking: Asking,
    filter: Filter = "",
    bars: Annotated[int, Query(ge=1, le=run_summary.BARS, description="About how many buckets of time.")] = 60,
    values: Annotated[int, Query(ge=1, le=100, description="Most values of each facet.")] = 8,
) -> Response:
    """Totals, starts over time by outcome, and how often each value of a field occurs, of the newest runs that match."""
    return await asking.reply(run_summary.summary, filter, bars=bars, values=values)


@router.get("/shapes", response_model=run_summary.Shapes)
async def list_shapes(
    asking: Asking,
    run: Annotated[list[str], Query(min_length=1, max_length=run_summary.MOST_SHAPES, description="Whole ids of runs.")],
) -> Response:
    """How the spans of runs lie in their time, for small pictures beside a list."""
    return await asking.reply(run_summary.shapes, run)


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


@router.get("/{run_id}/spans/{span_id}/cost", response_model=call_cost.CallCost)
async def one_cost(asking: Asking, run_id: RunId, span_id: SpanId) -> Response:
    """How the cost of one model call comes about, line by line."""
    return await asking.reply(call_cost.call_cost, run_id, span_id)


@router.get("/{run_id}/transcript", response_model=transcript.Transcript)
async def one_transcript(
    asking: Asking,
    run_id: RunId,
    limit: Limit = 200,
    offset: Annotated[int, Query(ge=0, le=10_000_000, description="Spans to leave out before the first.")] = 0,
) -> Response:
    """What models were told and said and what tools were asked and gave back, without what an earlier span has shown."""
    return await asking.reply(transcript.transcript, run_id, limit=limit, offset=offset)


@router.get("/{run_id}/oddities", response_model=oddities.Oddities)
async def list_oddities(asking: Asking, run_id: RunId, limit: Limit = 20) -> Response:
    """What looks wrong though nothing failed: empty results, and tools that were asked the same again and again."""
    return await asking.reply(oddities.oddities, run_id, limit=limit)


@router.get("/{run_id}/agent-trace", response_model=agent_trace.AgentTraces)
async def one_agent_trace(asking: Asking, run_id: RunId) -> Response:
    """What each agent decided, why, over which alternatives, and what it used: all decisions of the run."""
    return await asking.reply(agent_trace.agent_trace, run_id)


@router.get("/{run_id}/agents", response_model=agent_graph.AgentGraph)
async def agents_of_run(asking: Asking, run_id: RunId, with_: Leaves = None) -> Response:
    """The agents of the run, and who called, delegated to or messaged whom."""
    return await asking.reply(agent_graph.of_run, run_id, leaves=with_ or ())


@router.get("/{run_id}/diff/{other_id}", response_model=diff.Diff)
async def one_diff(asking: Asking, run_id: RunId, other_id: RunId) -> Response:
    """Two runs side by side: each step in the one and in the other, and decisions that went another way."""
    return await asking.reply(diff.diff, run_id, other_id)
