"""What each agent of a run decided and why, and what it used, in the names of the first design's agent traces."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from clew.observe.query.traces import resolve
from clew.observe.store.store import Store

MOST_DECISIONS = 5_000


@dataclass(frozen=True, slots=True)
class Choice:
    """The option that was chosen."""

    option: str
    reason: str
    confidence: float | None
    decidedBy: str
    spanId: str
    score: float | None
    """That of the option, among those considered."""


@dataclass(frozen=True, slots=True)
class Alternative:
    """An option that was considered and not chosen."""

    option: str
    score: float | None
    reason: str
    spanId: str
    """Of the decision."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision."""

    spanId: str
    name: str
    question: str
    startNs: int
    choice: Choice | None
    """None when none was made."""
    alternatives: list[Alternative]


@dataclass(frozen=True, slots=True)
class TokenMetrics:
    """What the model calls of an agent used; None where no call says. Cost is None when that of any call is not known."""

    modelCalls: int
    inputTokens: int | None
    outputTokens: int | None
    cacheReadTokens: int | None
    reasoningTokens: int | None
    totalTokens: int | None
    costUsd: float | None


@dataclass(slots=True)
class AgentTrace:
    """One agent in one run."""

    agentId: str
    """Name of the agent; '' for what belongs to none."""
    taskId: str
    """Span of the task around its first decision or call, else the run."""
    decisions: list[Decided] = field(default_factory=list)
    reasoning: list[str] = field(default_factory=list)
    """The reasons of its decisions, in their order."""
    alternatives: list[Alternative] = field(default_factory=list)
    """Of all its decisions."""
    finalChoice: Choice | None = None
    """Of its last decision that chose."""
    confidence: float | None = None
    """Of the final choice."""
    tokenUsage: TokenMetrics | None = None
    """None when it called no model."""


@dataclass(frozen=True, slots=True)
class AgentTraces:
    """The agents of a run, in the order in which they appear."""

    runId: str
    agents: list[AgentTrace]
    more: bool
    """Whether there are more than MOST_DECISIONS decisions: then the first are here."""


_DECISIONS = """SELECT span_id, name, agent, question, options, choice, reason, confidence, decided_by, start_ns FROM decisions
WHERE trace_id = {id:String} ORDER BY start_ns, span_id LIMIT {most:UInt64}"""
_USAGE = """SELECT agent, argMin(span_id, start_ns) AS first, min(start_ns) AS first_ns, count() AS calls, sum(input_tokens) AS input,
    sum(output_tokens) AS output, sum(cache_read_tokens) AS cached, sum(reasoning_tokens) AS reasoning,
    if(countIf(isNull(cost_usd)) > 0, NULL, sum(cost_usd)) AS cost FROM model_calls WHERE trace_id = {id:String} GROUP BY agent"""
_PARENTS = "SELECT span_id, parent_span_id, kind = 'task' FROM span_records FINAL WHERE trace_id = {id:String}"


def agent_trace(store: Store, run_id: str) -> AgentTraces:
    """The agents of the run with that (possibly shortened) id, with every decision.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    given = {"id": trace_id, "most": MOST_DECISIONS + 1}
    rows = store.rows(_DECISIONS, given)
    usage = {row["agent"]: row for row in store.rows(_USAGE, given)}
    first: dict[str, tuple[int, str]] = {agent: (row["first_ns"], row["first"]) for agent, row in usage.items()}
    for row in rows:
        first[row["agent"]] = min(first.get(row["agent"], (row["start_ns"], row["span_id"])), (row["start_ns"], row["span_id"]))
    tasks = _Tasks(store, trace_id)
    traces = {agent: AgentTrace(agent, tasks.around(span_id)) for agent, (_, span_id) in sorted(first.items(), key=lambda item: item[1])}
    for row in rows[:MOST_DECISIONS]:
        _note(traces[row["agent"]], _decided(row))
    for agent, row in usage.items():
        traces[agent].tokenUsage = _tokens(row)
    return AgentTraces(trace_id, list(traces.values()), len(rows) > MOST_DECISIONS)


class _Tasks:
    def __init__(self, store: Store, trace_id: str) -> None:
        self._trace_id = trace_id
        self._spans = {span: (parent, bool(is_task)) for span, parent, is_task in store.query(_PARENTS, {"id": trace_id}).result_rows}

    def around(self, span_id: str) -> str:
        """The nearest span of kind task that is or holds the span; else the run."""
        seen = set()
        while span_id in self._spans and span_id not in seen:
            seen.add(span_id)
            parent, is_task = self._spans[span_id]
            if is_task:
                return span_id
            span_id = parent
        return self._trace_id


def _note(trace: AgentTrace, decided: Decided) -> None:
    trace.decisions.append(decided)
    trace.alternatives += decided.alternatives
    if decided.choice is not None:
        trace.finalChoice, trace.confidence = decided.choice, decided.choice.confidence
        if decided.choice.reason:
            trace.reasoning.append(decided.choice.reason)


def _decided(row: dict[str, Any]) -> Decided:
    span_id = row["span_id"]
    options = _options(row["options"], span_id)
    score = next((one.score for one in options if one.option == row["choice"]), None)
    choice = Choice(row["choice"], row["reason"], row["confidence"], row["decided_by"], span_id, score) if row["choice"] else None
    alternatives = [one for one in options if one.option != row["choice"]]
    return Decided(span_id, row["name"], row["question"], row["start_ns"], choice, alternatives)


def _options(text: str, span_id: str) -> list[Alternative]:
    """Options as the recorder has them, ``[{name, score?, reason?}]``, and as others may: a list of anything."""
    try:
        given = json.loads(text) if text else []
    except ValueError:
        return []
    found = []
    for item in given if isinstance(given, list) else [given]:
        values = item if isinstance(item, dict) else {"name": item}
        score = values.get("score")
        name = values.get("name", "")
        found.append(
            Alternative(
                name if isinstance(name, str) else json.dumps(name),
                float(score) if isinstance(score, int | float) and not isinstance(score, bool) else None,
                str(values.get("reason") or ""),
                span_id,
            )
        )
    return found


def _tokens(row: dict[str, Any]) -> TokenMetrics:
    known = [tokens for tokens in (row["input"], row["output"]) if tokens is not None]
    return TokenMetrics(
        row["calls"], row["input"], row["output"], row["cached"], row["reasoning"], sum(known) if known else None, row["cost"]
    )
