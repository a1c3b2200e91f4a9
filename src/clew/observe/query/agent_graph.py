"""Who worked with whom: agents as nodes; an edge where one called another, delegated to it or sent it a message. Tools and models on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Generic, Literal, NamedTuple, TypeVar

from clew.observe.query import runs
from clew.observe.query.traces import resolve
from clew.observe.store.normalise import DURATION
from clew.observe.store.store import Store

MOST_SPANS = 100_000
"""Of many runs as many of the newest are in as have so many spans together; of a run with more, the earliest are."""
MOST_NODES = 1_000
SHAPE = 24
"""Equal parts of the time of a graph in which starts are counted."""
MOST_CALLS = {"run": 500, "runs": 10}
"""Calls that a node or an edge names: of one run the earliest, so that it can be followed as it ran; of many the newest."""

Kind = Literal["agent", "tool", "model"]
Relation = Literal["called", "delegated", "messaged", "used", "asked"]
Leaf = Literal["tool", "model"]

TARGET_KEYS = ("gen_ai.agent.handoff.target.name", "messaging.destination.name")
"""Attributes of a message that name the agent it goes to."""
_THROUGH = ("tool", "task")
"""Spans between two agents that make a call of it a delegation."""


@dataclass(frozen=True, slots=True)
class Call:
    """One span behind a figure: that by which an agent was entered, a message, a tool's or a model's call."""

    run_id: str
    span_id: str
    start_ns: int
    duration_ns: int | None
    """None when it has not ended."""
    failed: bool


@dataclass(slots=True)
class Weight:
    """How much. Unknown is None, never 0."""

    calls: int = 0
    errors: int = 0
    """Those of the calls that failed."""
    p50_ns: int | None = None
    """Durations of the calls that have ended: the one at that place when they are sorted."""
    p95_ns: int | None = None
    p99_ns: int | None = None
    model_calls: int = 0
    """That belong to it. Tokens and cost are theirs."""
    calls_with_usage: int = 0
    input_tokens: int | None = None
    """None when no call has usage."""
    output_tokens: int | None = None
    cost_usd: float | None = 0.0
    """None when that of any call is not known; ``partial_cost_usd`` is what is known."""
    partial_cost_usd: float = 0.0
    unpriced_models: list[str] = field(default_factory=list)


@dataclass(slots=True)
class AgentNode:
    """An agent, or a tool or model that agents used."""

    name: str
    kind: Kind
    weight: Weight = field(default_factory=Weight)
    """``calls`` of an agent is how often it was entered, from another agent or from none; its model calls are those it made itself."""
    spans: int = 0
    """That belong to the agent: its own, and those below it up to the next agent."""
    failed_spans: int = 0
    runs: int = 0
    """In how many runs of the graph it is."""
    last_ns: int | None = None
    """Start of its last span; None for an agent that is only named as the receiver of a message."""
    starts: list[int] = field(default_factory=list)
    """Calls that start in each of SHAPE equal parts from ``from_ns`` to ``to_ns`` of the graph."""
    failed_starts: list[int] = field(default_factory=list)
    listed: list[Call] = field(default_factory=list)
    """The calls themselves, at most MOST_CALLS: of one run the earliest, of many the newest first."""


@dataclass(slots=True)
class AgentEdge:
    """From one agent to another, or to a tool (``used``) or model (``asked``). Its cost is that of the model calls which the called agent
    made itself, within these calls."""

    source: str
    target: str
    relation: Relation
    weight: Weight = field(default_factory=Weight)
    listed: list[Call] = field(default_factory=list)
    """As of nodes. Of ``messaged`` the spans of the messages."""


@dataclass(frozen=True, slots=True)
class AgentGraph:
    """Nodes, that with the most calls first; edges by their ends."""

    nodes: list[AgentNode]
    edges: list[AgentEdge]
    runs: int
    more: bool
    """Whether not all is in it: more runs match, or they have more than MOST_SPANS spans or MOST_NODES nodes."""
    from_ns: int | None
    """When its first and its last span start; None without spans."""
    to_ns: int | None


class _Span(NamedTuple):
    trace_id: str
    span_id: str
    parent_span_id: str
    kind: str
    agent: str
    failed: bool
    target: str
    links: Sequence[tuple[str, str]]
    tool: str
    start_ns: int
    duration_ns: int | None

    @property
    def call(self) -> Call:
        return Call(self.trace_id, self.span_id, self.start_ns, self.duration_ns, self.failed)


class _ModelCall(NamedTuple):
    trace_id: str
    span_id: str
    model: str
    cost_usd: float | None
    input_tokens: int | None
    output_tokens: int | None
    source: str


_SPANS = """SELECT trace_id, span_id, parent_span_id, toString(kind), multiIf(agent != '', toString(agent), kind = 'agent', toString(name), ''),
    status = 'error', coalesce({targets}, ''), arrayZip(link_trace_ids, link_span_ids), if(tool != '', toString(tool), toString(name)),
    start_ns, {duration}
FROM span_records FINAL WHERE trace_id IN {{ids:Array(String)}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
ORDER BY start_ns, span_id LIMIT {{most:UInt64}}""".format(
    targets=", ".join(f"nullIf(attributes['{key}'], '')" for key in TARGET_KEYS), duration=DURATION
)
_CALLS = """SELECT trace_id, span_id, model, cost_usd, input_tokens, output_tokens, cost_source
FROM model_calls WHERE trace_id IN {ids:Array(String)}"""


def of_run(store: Store, run_id: str, *, leaves: Collection[Leaf] = ()) -> AgentGraph:
    """The agents of the run with that (possibly shortened) id.

    :param leaves: what else is a node
    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    return _graph(store, [resolve(store, run_id)], leaves, more=False, listed=MOST_CALLS["run"])


def of_runs(store: Store, text: str = "", *, limit: int = 100, leaves: Collection[Leaf] = ()) -> AgentGraph:
    """The agents of the newest ``limit`` runs that match the filter (runs.RUN_FIELDS).

    :param leaves: what else is a node
    :raises FilterError: the filter does not parse; points at the character
    """
    ids, more = newest(store, text, limit=limit)
    return _graph(store, ids, leaves, more=more, listed=-MOST_CALLS["runs"])


def newest(store: Store, text: str, *, limit: int) -> tuple[list[str], bool]:
    """Ids of the newest ``limit`` runs that match the filter, as many as have MOST_SPANS spans together and at least one; and whether more match.

    :raises FilterError: the filter does not parse; points at the character
    """
    page = runs.page(store, text, limit=limit)
    spans = list(accumulate(run.spans for run in page.runs))
    ids = [run.run_id for place, run in enumerate(page.runs) if not place or spans[place] <= MOST_SPANS]
    return ids, page.more or len(ids) < len(page.runs)


def _graph(store: Store, run_ids: Sequence[str], leaves: Collection[Leaf], *, more: bool, listed: int) -> AgentGraph:
    """``listed``: how many calls of each are named; the newest when it is negative."""
    if not run_ids:
        return AgentGraph([], [], 0, more, None, None)
    ids = {"ids": list(run_ids)}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", ids).result_rows
    rows = store.query(_SPANS, {**ids, "first": first, "last": last, "most": MOST_SPANS + 1}).result_rows
    spans = [_Span(*row) for row in rows[:MOST_SPANS]]
    drawn = _Drawing(spans, leaves)
    for row in store.query(_CALLS, ids).result_rows:
        drawn.spend(_ModelCall(*row))
    from_ns, to_ns = (spans[0].start_ns, spans[-1].start_ns) if spans else (None, None)
    nodes = sorted(drawn.nodes.values(), key=lambda drawn: (-len(drawn.calls), drawn.of.kind, drawn.of.name))
    kept = {(drawn.of.kind, drawn.of.name) for drawn in nodes[:MOST_NODES]}
    edges = [
        edge.finished(listed)
        for _, edge in sorted(drawn.edges.items())
        if ("agent", edge.of.source) in kept and (_KIND_OF[edge.of.relation], edge.of.target) in kept
    ]
    return AgentGraph(
        [_shaped(node, from_ns or 0, to_ns or 0).finished(listed) for node in nodes[:MOST_NODES]],
        edges,
        len(run_ids),
        more or len(rows) > MOST_SPANS or len(nodes) > MOST_NODES,
        from_ns,
        to_ns,
    )


_KIND_OF: dict[Relation, Kind] = {"called": "agent", "delegated": "agent", "messaged": "agent", "used": "tool", "asked": "model"}
"""What the target of a relation is."""
_Key = tuple[str, str]


_Of = TypeVar("_Of", AgentNode, AgentEdge)


class _Drawn(Generic[_Of]):
    """A node or an edge, with the spans it is made of."""

    def __init__(self, of: _Of) -> None:
        self.of: _Of = of
        self.calls: list[_Span] = []
        self.runs: set[str] = set()

    def spend(self, call: _ModelCall) -> None:
        weight = self.of.weight
        weight.model_calls += 1
        weight.calls_with_usage += call.input_tokens is not None or call.output_tokens is not None
        if call.input_tokens is not None:
            weight.input_tokens = (weight.input_tokens or 0) + call.input_tokens
        if call.output_tokens is not None:
            weight.output_tokens = (weight.output_tokens or 0) + call.output_tokens
        weight.partial_cost_usd += call.cost_usd or 0.0
        weight.cost_usd = None if call.cost_usd is None or weight.cost_usd is None else weight.cost_usd + call.cost_usd
        if call.source == "unpriced" and call.model not in weight.unpriced_models:
            weight.unpriced_models.append(call.model)

    def finished(self, listed: int) -> _Of:
        weight = self.of.weight
        weight.calls, weight.errors = len(self.calls), sum(span.failed for span in self.calls)
        lasted = sorted(span.duration_ns for span in self.calls if span.duration_ns is not None)
        if lasted:
            weight.p50_ns, weight.p95_ns, weight.p99_ns = (lasted[int(level * len(lasted))] for level in (0.5, 0.95, 0.99))
        self.calls.sort(key=lambda span: (span.start_ns, span.span_id))
        self.of.listed = [span.call for span in (self.calls[:listed] if listed > 0 else self.calls[: listed - 1 : -1])]
        weight.unpriced_models.sort()
        return self.of


def _shaped(node: _Drawn[AgentNode], from_ns: int, to_ns: int) -> _Drawn[AgentNode]:
    node.of.starts, node.of.failed_starts = [0] * SHAPE, [0] * SHAPE
    for span in node.calls:
        part = min(SHAPE - 1, (span.start_ns - from_ns) * SHAPE // max(to_ns - from_ns, 1))
        node.of.starts[part] += 1
        node.of.failed_starts[part] += span.failed
    node.of.runs = len(node.runs)
    return node


class _Drawing:
    def __init__(self, spans: Iterable[_Span], leaves: Collection[Leaf]) -> None:
        self.nodes: dict[tuple[Kind, str], _Drawn[AgentNode]] = {}
        self.edges: dict[tuple[str, str, Relation], _Drawn[AgentEdge]] = {}
        self._leaves = leaves
        self._spans = {(span.trace_id, span.span_id): span for span in spans}
        self._above: dict[_Key, _Key | None] = {}
        """Span -> the nearest span, itself included, that names an agent."""
        self._entered: dict[_Key, _Drawn[AgentEdge]] = {}
        """Span that names an agent -> the edge by which that agent was entered."""
        for key, span in self._spans.items():
            self._enter(key, span)
        for key, span in self._spans.items():
            self._follow_message(key, span)
            self._belong(key, span)

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
        parent = (span.trace_id, span.parent_span_id)
        caller = self._nearest(parent) if parent != key else None
        if caller is None or self._spans[caller].agent != span.agent:
            self._node("agent", span.agent).calls.append(span)
        if caller is None:
            return
        if self._spans[caller].agent == span.agent:
            if caller in self._entered:
                self._entered[key] = self._entered[caller]
            return
        edge = self._edge(self._spans[caller].agent, span.agent, "delegated" if self._is_delegated(parent, caller) else "called")
        edge.calls.append(span)
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
            self._edge(self._spans[sender].agent, span.target, "messaged").calls.append(span)
        for link in span.links:
            message = self._spans.get(link)
            if message is not None and message.kind == "message" and not message.target:
                sender, receiver = self._nearest(link), self._nearest(key)
                if sender is not None and receiver is not None:
                    self._edge(self._spans[sender].agent, self._spans[receiver].agent, "messaged").calls.append(message)

    def _belong(self, key: _Key, span: _Span) -> None:
        """Each span belongs to the nearest agent; what a tool does is used by it."""
        owner = self._nearest(key)
        if owner is None:
            return
        name = self._spans[owner].agent
        self._seen(self._node("agent", name), span)
        if span.kind == "tool" and "tool" in self._leaves:
            self._use(name, "tool", span.tool, "used", span)

    def _use(self, agent: str, kind: Kind, name: str, relation: Relation, span: _Span) -> _Drawn[AgentNode]:
        node = self._node(kind, name)
        node.calls.append(span)
        self._seen(node, span)
        self._edge(agent, name, relation).calls.append(span)
        return node

    @staticmethod
    def _seen(node: _Drawn[AgentNode], span: _Span) -> None:
        node.runs.add(span.trace_id)
        node.of.spans += 1
        node.of.failed_spans += span.failed
        node.of.last_ns = max(node.of.last_ns or 0, span.start_ns)

    def _node(self, kind: Kind, name: str) -> _Drawn[AgentNode]:
        found = self.nodes.get((kind, name))
        if found is None:
            found = self.nodes[kind, name] = _Drawn(AgentNode(name, kind))
        return found

    def _edge(self, source: str, target: str, relation: Relation) -> _Drawn[AgentEdge]:
        found = self.edges.get((source, target, relation))
        if found is None:
            self._node(_KIND_OF[relation], target)
            found = self.edges[source, target, relation] = _Drawn(AgentEdge(source, target, relation))
        return found

    def spend(self, call: _ModelCall) -> None:
        """A model call belongs to the nearest agent, and to the call of it."""
        key = (call.trace_id, call.span_id)
        owner = self._nearest(key)
        if owner is None:
            return
        agent = self._spans[owner].agent
        self._node("agent", agent).spend(call)
        if owner in self._entered:
            self._entered[owner].spend(call)
        if "model" in self._leaves:
            self._use(agent, "model", call.model, "asked", self._spans[key]).spend(call)
            self.edges[agent, call.model, "asked"].spend(call)
