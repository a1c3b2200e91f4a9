"""How one agent performs: each of its operations, what it decided, and the runs it was in."""

from __future__ import annotations

from dataclasses import dataclass, fields

from clew.observe.query import agent_graph, runs
from clew.observe.query.runs import Run
from clew.observe.store.normalise import DURATION
from clew.observe.store.store import Store

MOST_OPERATIONS = 200
MOST_DECISIONS = 50


@dataclass(frozen=True, slots=True)
class Operation:
    """Spans of an agent that share kind and name."""

    kind: str
    name: str
    count: int
    errors: int
    p50_ns: int | None
    """Durations of ended spans: the one at that place when they are sorted."""
    p95_ns: int | None
    p99_ns: int | None
    per_second: float | None
    """Over ``from_ns`` to ``to_ns``; None when that is no time."""
    last_ns: int
    """Start of the newest, which is the span ``last_span_id`` of the run ``last_run_id``."""
    last_run_id: str
    last_span_id: str


@dataclass(frozen=True, slots=True)
class AgentDecision:
    """A decision of the agent."""

    run_id: str
    span_id: str
    question: str
    choice: str
    reason: str
    confidence: float | None
    start_ns: int
    failed: bool


@dataclass(frozen=True, slots=True)
class AgentProfile:
    """One agent in some runs."""

    agent: str
    operations: list[Operation]
    """That with the most spans first, at most MOST_OPERATIONS."""
    decisions: list[AgentDecision]
    """Newest first, at most MOST_DECISIONS."""
    decided: int
    """Decisions in all."""
    runs: list[Run]
    """That it is in, newest first."""
    more: bool
    """Whether more runs match, or it has more operations."""
    from_ns: int | None
    """When its first span of these runs starts, and its last; None when it has none."""
    to_ns: int | None


_RUNS = "trace_id IN {ids:Array(String)}"
_OWN = f"""SELECT * FROM (SELECT * FROM span_records FINAL WHERE {_RUNS} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}) AS own
    LEFT ANY JOIN (SELECT trace_id, span_id, agent AS inherited FROM settled FINAL WHERE {_RUNS} AND agent != '') AS above USING (trace_id, span_id)
    WHERE multiIf(agent != '', toString(agent), kind = 'agent', toString(name), toString(inherited)) = {{agent:String}}"""
_OPERATIONS = f"""SELECT of_kind AS kind, of_name AS name, spans AS count, failed AS errors, * EXCEPT (of_kind, of_name, spans, failed) FROM (
SELECT toString(kind) AS of_kind, toString(name) AS of_name, count() AS spans, countIf(status = 'error') AS failed,
    {", ".join(f"quantileExact({level})({DURATION}) AS p{percent}_ns" for level, percent in ((0.5, 50), (0.95, 95), (0.99, 99)))},
    min(start_ns) AS begun, max(start_ns) AS last_ns, argMax(trace_id, (start_ns, span_id)) AS last_run_id, argMax(span_id, (start_ns, span_id)) AS last_span_id
FROM ({_OWN}) AS span_records GROUP BY of_kind, of_name ORDER BY spans DESC, of_kind, of_name LIMIT {{most:UInt64}}
) ORDER BY count DESC, kind, name"""
_DECISIONS = f"""SELECT trace_id AS run_id, span_id, question, choice, reason, confidence, start_ns, status = 'error' AS has_failed, count() OVER () AS decided
FROM decisions WHERE {_RUNS} AND agent = {{agent:String}} ORDER BY start_ns DESC, span_id LIMIT {{most:UInt64}}"""
_COLUMNS = tuple(field.name for field in fields(Operation) if field.name != "per_second")
_DECISION = tuple(field.name for field in fields(AgentDecision) if field.name != "failed")


def profile(store: Store, agent: str, text: str = "", *, limit: int = 100) -> AgentProfile:
    """The agent of that name in the newest ``limit`` runs that it is in and that match the filter (runs.RUN_FIELDS).

    :raises FilterError: the filter does not parse; points at the character
    """
    ids, more = agent_graph.newest(store, _with(agent, text), limit=limit)
    if not ids:
        return AgentProfile(agent, [], [], 0, [], more, None, None)
    given = {"ids": ids, "agent": agent}
    [(first, last)] = store.query(f"SELECT min(first_ns), max(last_ns) FROM traces WHERE {_RUNS}", given).result_rows
    rows = store.rows(_OPERATIONS, {**given, "first": first, "last": last, "most": MOST_OPERATIONS + 1})
    from_ns = min((row["begun"] for row in rows), default=None)
    to_ns = max((row["last_ns"] for row in rows), default=None)
    seconds = ((to_ns or 0) - (from_ns or 0)) / 1e9
    operations = [
        Operation(per_second=row["count"] / seconds if seconds else None, **{name: row[name] for name in _COLUMNS})
        for row in rows[:MOST_OPERATIONS]
    ]
    decided = store.rows(_DECISIONS, {**given, "most": MOST_DECISIONS})
    return AgentProfile(
        agent,
        operations,
        [AgentDecision(failed=bool(row["has_failed"]), **{name: row[name] for name in _DECISION}) for row in decided],
        decided[0]["decided"] if decided else 0,
        runs.runs_of(store, ids),
        more or len(rows) > MOST_OPERATIONS,
        from_ns,
        to_ns,
    )


def _with(agent: str, text: str) -> str:
    quoted = agent.replace("\\", "\\\\").replace('"', '\\"')
    named = f'agent:"{quoted}"'
    return f"({text}) {named}" if text.strip() else named
