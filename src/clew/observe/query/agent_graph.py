"""Who worked with whom: agents as nodes; an edge where one called another, delegated to it or sent it a message."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from clew.observe.query import runs
from clew.observe.query.traces import resolve
from clew.observe.store.store import Store

MOST_SPANS = 200_000

Relation = Literal["called", "delegated", "messaged"]

TARGET_KEYS = ("gen_ai.agent.handoff.target.name", "messaging.destination.name")
"""Attributes of a message that name the agent it goes to."""
_THROUGH = ("tool", "task")
"""Spans between two agents that make a call of it a delegation."""


@dataclass(slots=True)
class Weight:
    """How much: ``calls`` is how often."""

    calls: int = 0
    errors: int = 0
    cost_usd: float | None = 0.0
    """Of the model calls that belong to it; None when that of any is not known."""
    partial_cost_usd: float = 0.0

    def spend(self, cost: float | None) -> None:
        self.partial_cost_usd += cost or 0.0
        self.cost_usd = None if cost is None or self.cost_usd is None else self.cost_usd + cost


@dataclass(slots=True)
class AgentNode:
    """An agent. ``calls`` of its weight is how often it was entered, from another agent or from none."""

    agent: str
    weight: Weight = field(default_factory=Weight)
    model_calls: int = 0


@dataclass(slots=True)
class AgentEdge:
    """From one agent to another. Its cost is that of the model calls which the called agent made itself, within these calls."""

    source: str
    target: str
    relation: Relation
    weight: Weight = field(default_factory=Weight)


@dataclass(frozen=True, slots=True)
class AgentGraph:
    """Agents and edges by name."""

    agents: list[AgentNode]
    edges: list[AgentEdge]
    runs: int
    more: bool
    """Whether not all is in it: more runs match, or they have more than MOST_SPANS spans, of which the earliest are in."""


class _Span(NamedTuple):
    trace_id: str
    span_id: str
    parent_span_id: str
    kind: str
    agent: str
    failed: bool
    target: str
    links: Sequence[tuple[str, str]]


_SPANS = """SELECT trace_id, span_id, parent_span_id, toString(kind), multiIf(agent != '', toString(agent), kind = 'agent', toString(name), ''),
    status = 'error', coalesce({targets}, ''), arrayZip(link_trace_ids, link_span_ids)
FROM span_records FINAL WHERE trace_id IN {{ids:Array(String)}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
ORDER BY start_ns, span_id LIMIT {{most:UInt64}}""".format(targets=", ".join(f"nullIf(attributes['{key}'], '')" for key in TARGET_KEYS))
_CALLS = "SELECT trace_id, span_id, cost_usd FROM model_calls WHERE trace_id IN {ids:Array(String)}"


def of_run(store: Store, run_id: str) -> AgentGraph:
    """The agents of the run with that (possibly shortened) id.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    return _graph(store, [resolve(store, run_id)], more=False)


def of_runs(store: Store, text: str = "", *, limit: int = 100) -> AgentGraph:
    """The agents of the newest ``limit`` runs that match the filter (runs.RUN_FIELDS).

    :raises FilterError: the filter does not parse; points at the character
    """
    page = runs.page(store, text, limit=limit)
    return _graph(store, [run.run_id for run in page.runs], more=page.more)


def _graph(store: Store, run_ids: Sequence[str], *, more: bool) -> AgentGraph:
    if not run_ids:
        return AgentGraph([], [], 0, more)
    ids = {"ids": list(run_ids)}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", ids).result_rows
    rows = store.query(_SPANS, {**ids, "first": first, "last": last, "most": MOST_SPANS + 1}).result_rows
    calls = store.query(_CALLS, ids).result_rows
    drawn = _Drawing(_Span(*row) for row in rows[:MOST_SPANS])
    for trace_id, span_id, cost in calls:
        drawn.spend((trace_id, span_id), cost)
    return AgentGraph(
        sorted(drawn.agents.values(), key=lambda node: node.agent),
        sorted(drawn.edges.values(), key=lambda edge: (edge.source, edge.target, edge.relation)),
        len(run_ids),
        more or len(rows) > MOST_SPANS,
    )


_Key = tuple[str, str]


class _Drawing:
    def __init__(self, spans: Iterable[_Span]) -> None:
        self.agents: dict[str, AgentNode] = {}
        self.edges: dict[tuple[str, str, Relation], AgentEdge] = {}
        self._spans = {(span.trace_id, span.span_id): span for span in spans}
        self._above: dict[_Key, _Key | None] = {}
        """Span -> the nearest span, itself included, that names an agent."""
        self._entered: dict[_Key, AgentEdge] = {}
        """Span that names an agent -> the edge by which that agent was entered."""
        for key, span in self._spans.items():
            self._enter(key, span)
        for key, span in self._spans.items():
            self._follow_message(key, span)

    def _nearest(self, key: _Key | None) -> _Key | None:
        path: list[_Key] = []
        seen: set[_Key] = set()
        while key is not None and key in self._spans and key not in self._above and key not in seen:
            seen.add(key)
            path.append(key)
            span = self._spans[key]
            if span.agent:
                self._above[key] = key
                break
            key = (span.trace_id, span.parent_span_id)
        found = self._above.get(key) if key is not None else None
        for passed in path:
            self._above.setdefault(passed, found)
        return found

    def _enter(self, key: _Key, span: _Span) -> None:
        if not span.agent:
            return
        node = self.agents.setdefault(span.agent, AgentNode(span.agent))
        parent = (span.trace_id, span.parent_span_id)
        caller = self._nearest(parent) if parent != key else None
        if caller is None or self._spans[caller].agent != span.agent:
            node.weight.calls += 1
            node.weight.errors += span.failed
        if caller is None:
            return
        if self._spans[caller].agent == span.agent:
            if caller in self._entered:
                self._entered[key] = self._entered[caller]
            return
        edge = self._edge(self._spans[caller].agent, span.agent, "delegated" if self._is_delegated(parent, caller) else "called")
        edge.weight.calls += 1
        edge.weight.errors += span.failed
        self._entered[key] = edge

    def _is_delegated(self, key: _Key, caller: _Key) -> bool:
        while True:
            span = self._spans[key]
            if span.kind in _THROUGH:
                return True
            if key == caller:
                return False
            key = (span.trace_id, span.parent_span_id)

    def _follow_message(self, key: _Key, span: _Span) -> None:
        """A message goes to the agent that it names; or to the agent whose span links to it."""
        if span.kind == "message" and span.target and (sender := self._nearest(key)):
            self._send(self._spans[sender].agent, span.target, failed=span.failed)
        for link in span.links:
            message = self._spans.get(link)
            if message is not None and message.kind == "message" and not message.target:
                sender, receiver = self._nearest(link), self._nearest(key)
                if sender is not None and receiver is not None:
                    self._send(self._spans[sender].agent, self._spans[receiver].agent, failed=message.failed)

    def _send(self, source: str, target: str, *, failed: bool) -> None:
        self.agents.setdefault(target, AgentNode(target))
        edge = self._edge(source, target, "messaged")
        edge.weight.calls += 1
        edge.weight.errors += failed

    def _edge(self, source: str, target: str, relation: Relation) -> AgentEdge:
        return self.edges.setdefault((source, target, relation), AgentEdge(source, target, relation))

    def spend(self, key: _Key, cost: float | None) -> None:
        """A model call belongs to the nearest agent, and to the call of it."""
        owner = self._nearest(key)
        if owner is None:
            return
        node = self.agents[self._spans[owner].agent]
        node.model_calls += 1
        node.weight.spend(cost)
        if owner in self._entered:
            self._entered[owner].weight.spend(cost)
