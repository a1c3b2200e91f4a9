"""Runs: one row per trace, newest first; and the fields by which the filter language finds them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from clew.model.kinds import KINDS
from clew.observe.query import cursor
from clew.observe.query.filter import And, Equals, Node, Not, Or, Term, parse
from clew.observe.query.filter_sql import AttributeKind, AttributeOperator, Bind, Condition, Field, compile, times_of
from clew.observe.query.run_calls import CALL_COLUMNS, MOST_SPANS, OF_SETTLED, Calls, calls_of
from clew.observe.query.search import attribute, seen, words
from clew.observe.store.fingerprint import FINGERPRINT
from clew.observe.store.schema import select_runs
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Run:
    """One run (a trace). Times are nanoseconds since 1970, UTC; unknown is None, never 0."""

    run_id: str
    name: str
    service: str
    status: str
    state: str
    """``ended``, ``running`` or ``lost`` (the recording process died before the root span ended)."""
    start_ns: int
    duration_ns: int | None
    spans: int
    errors: int
    agents: list[str]
    models: list[str]
    model_calls: int
    calls_with_usage: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    """None when any call of the run has no price; then ``partial_cost_usd`` is what is known and ``unpriced_models`` says why."""
    partial_cost_usd: float
    unpriced_models: list[str]
    session_id: str
    error: str
    """Message of the first error, '' when there is none."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """A page of runs."""

    runs: list[Run]
    """Newest first."""
    more: bool
    """Whether there may be more: the page is full, or LOOKED_AT runs were looked at."""
    next: str | None
    """The cursor of the next page, when there may be more."""
    looked_at: int
    """Runs that the filter was tried on."""


RUN_COLUMNS = ", ".join(field.name for field in fields(Run))

LOOKED_AT = 20_000
"""Most runs that a filter is tried on for one page; the page that ends there says that there may be more."""
CHUNK = 500
"""Runs that a filter is tried on at first; then four times as many, and so on."""

_OF_TRACES = "trace_id IN {ids:Array(String)} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}"
_OF_RUNS = select_runs(_OF_TRACES, of_settled=OF_SETTLED)
_WITHOUT_CALLS = select_runs(_OF_TRACES, calls=False)
_WITHIN = f"(SELECT * FROM span_records WHERE {_OF_TRACES})"

_STATES = ("ended", "running", "lost")

RUN_FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("run", "trace_id", "text", help="Run; a shortened id ends in *"),
        Field("name", "name", "text", help="Name of the run's root span"),
        Field("service", "service", "text", help="Program that recorded it"),
        Field("status", "status", "enum", ("ok", "error", "unset"), help="How it ended"),
        Field("state", "state", "enum", _STATES, help="Whether it has ended; lost when its process died before"),
        Field("session", "session_id", "text", help="Session"),
        Field("user", "user_id", "text", help="End user"),
        Field("agent", "agent", "text", help="An agent of it", each="agents"),
        Field("model", "model", "text", help="A model that was called in it", each="models"),
        Field("message", "error", "text", help="Message of its first error"),
        Field("start", "start_ns", "time", help="When it started"),
        Field("duration", "duration_ns", "duration_ns", help="How long it took"),
        Field("spans", "toFloat64(spans)", "number", help="Spans"),
        Field("errors", "toFloat64(errors)", "number", help="Spans that failed"),
        Field("calls", "toFloat64(model_calls)", "number", help="Model calls"),
        Field("cost", "cost_usd", "usd", help="Cost in USD"),
        Field("tokens", "(toFloat64(input_tokens) + output_tokens)", "number", help="Input and output tokens"),
        Field("input_tokens", "toFloat64(input_tokens)", "number", help="Input tokens"),
        Field("output_tokens", "toFloat64(output_tokens)", "number", help="Output tokens"),
        Field("kind", "toString(kind)", "enum", KINDS, help="Kind of one of its spans", table=_WITHIN),
        Field("tool", "tool", "text", help="Tool of one of its spans", table=_WITHIN),
        Field("provider", "provider", "text", help="Provider of one of its model calls", table=_WITHIN),
        Field("workflow", "workflow", "text", help="Workflow of one of its spans", table=_WITHIN),
        Field("persona", "persona", "text", help="Persona of one of its spans", table=_WITHIN),
        Field(
            "error", "error_type", "text", help="Class of an error in it, such as an exception's type, rate_limit or timeout", table=_WITHIN
        ),
        Field(
            "fingerprint", FINGERPRINT, "text", help="Group of failures that one in it belongs to, as clew errors lists them", table=_WITHIN
        ),
    )
}


def runs(store: Store, *, limit: int = 50, session: str | None = None, failed: bool = False) -> list[Run]:
    """The newest ``limit`` runs; with ``failed`` only those with an error."""
    if session is None and not failed:
        return page(store, limit=limit).runs
    conditions = ["session_id = {session:String}"] * (session is not None) + ["errors > 0"] * failed
    rows = store.rows(
        f"SELECT {RUN_COLUMNS} FROM runs WHERE {' AND '.join(conditions)} ORDER BY start_ns DESC, run_id LIMIT {{limit:UInt64}}",
        {"limit": limit, "session": session or ""},
    )
    return [Run(**row) for row in rows]


def runs_of(store: Store, run_ids: Sequence[str]) -> list[Run]:
    """These runs, newest first; ids that no run has are left out."""
    rows = without_calls(store, places(store, run_ids)) if run_ids else []
    return sorted(with_calls(store, rows), key=lambda run: (-run.start_ns, run.run_id))


def page(store: Store, text: str = "", *, limit: int = 50, after: str | None = None) -> RunPage:
    """The newest ``limit`` runs that match the filter, whose fields are RUN_FIELDS: words and attributes are those of any span of a run.

    :param after: cursor; only what comes after the page that gave it
    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: ``after`` is no cursor
    """
    node, now = parse(text), datetime.now(UTC)
    condition = _condition(node, now)
    newest = _Newest(node, now, after)
    selected = _OF_RUNS if _asks_for_calls(node) else _WITHOUT_CALLS
    found: list[dict[str, Any]] = []
    chunk = limit + 1 if not text.strip() else max(CHUNK, limit + 1)
    is_all = False
    while len(found) <= limit and newest.looked_at < LOOKED_AT and not is_all:
        chunk = min(chunk, max(LOOKED_AT - newest.looked_at, limit + 1))
        ids = newest.read(store, chunk)
        place = {trace_id: number for number, trace_id in enumerate(ids)}
        found += sorted(_matching(store, ids, condition, selected), key=lambda row: place[row["run_id"]])
        is_all = len(ids) < chunk
        chunk *= 4
    shown = [Run(**row) for row in found[:limit]] if selected is _OF_RUNS else with_calls(store, found[:limit])
    if is_all and len(found) <= limit:
        return RunPage(shown, False, None, newest.looked_at)
    next_ = newest.cursor_of(shown[-1].run_id) if len(found) > limit and shown else newest.cursor
    return RunPage(shown, True, next_, newest.looked_at)


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest runs that a filter's times do not rule out, those of them that match: as SELECTs with their parameters."""

    select: str
    """Over the columns of the view ``runs``; those on model calls are empty."""
    select_with_calls: str
    """With them, which takes several times as long."""
    parameters: dict[str, Any]
    looked_at: int
    """How many the filter is tried on."""


def newest(store: Store, text: str, *, most: int) -> Newest:
    """:param most: how many the filter is tried on
    :raises FilterError: the filter does not parse; points at the character
    """
    node, now = parse(text), datetime.now(UTC)
    condition = _condition(node, now)
    found = _Newest(node, now, None)
    ids = found.read(store, most)
    whole = _selected(condition, _OF_RUNS)
    select = whole if _asks_for_calls(node) else _selected(condition, _WITHOUT_CALLS)
    return Newest(select, whole, {**places(store, ids), **condition.parameters}, found.looked_at)


def _condition(node: Node, now: datetime) -> Condition:
    return compile(node, RUN_FIELDS, now=now, text=_text, attribute=_attribute, key="trace_id")


_OF_CALLS = ("model", "calls", "cost", "tokens", "input_tokens", "output_tokens")
"""Fields that need the model calls of a run."""
_OPEN = ("running", "lost")
_HAS_OPEN = "trace_id IN (SELECT trace_id FROM span_records WHERE end_ns = 0)"
"""Of a trace that may be one of a run that has not ended: few have such a span, and to name them takes milliseconds."""


def _asks_for_calls(node: Node) -> bool:
    match node:
        case And(nodes) | Or(nodes):
            return any(map(_asks_for_calls, nodes))
        case Not(inner):
            return _asks_for_calls(inner)
        case Term(name, _, is_attribute):
            return not is_attribute and name in _OF_CALLS
        case _:
            return False


def _is_open(node: Node) -> bool:
    """Whether only runs match that have not ended."""
    match node:
        case And(nodes):
            return any(map(_is_open, nodes))
        case Term("state", Equals(value), False):
            return value.text in _OPEN
        case _:
            return False


class _Newest:
    """Ids of traces, newest first, as the table ``traces`` has them; it has one row for each trace, so no span is read."""

    def __init__(self, node: Node, now: datetime, after: str | None) -> None:
        self._condition = compile(times_of(node), _FIRST, now=now, text=_text, attribute=_attribute)
        self._where = _HAS_OPEN if _is_open(node) else "1"
        self._at = cursor.read(after, tuple[int, str]) if after is not None else None
        self._firsts: dict[str, int] = {}
        self.looked_at = 0

    @property
    def cursor(self) -> str | None:
        return cursor.write(*self._at) if self._at else None

    def cursor_of(self, trace_id: str) -> str:
        return cursor.write(self._firsts[trace_id], trace_id)

    def read(self, store: Store, count: int) -> list[str]:
        """The next ``count`` ids."""
        place = "1"
        given: dict[str, Any] = {**self._condition.parameters, "count": count}
        if self._at is not None:
            place = "(first < {at_ns:Int64} OR (first = {at_ns:Int64} AND trace_id > {at_trace:String}))"
            given |= {"at_ns": self._at[0], "at_trace": self._at[1]}
        rows = store.query(
            f"SELECT trace_id, min(first_ns) AS first FROM traces WHERE {self._where} GROUP BY trace_id HAVING {place} AND {self._condition.sql} "
            "ORDER BY first DESC, trace_id LIMIT {count:UInt64}",
            given,
        ).result_rows
        if rows:
            self._at = (rows[-1][1], rows[-1][0])
        self._firsts.update(map(tuple, rows))
        self.looked_at += len(rows)
        return [trace_id for trace_id, _ in rows]


_FIRST = {"start": Field("start", "first", "time")}


def _matching(store: Store, ids: Sequence[str], condition: Condition, runs: str) -> list[dict[str, Any]]:
    """Those of the runs with these ids that fulfil the condition, as rows."""
    if not ids:
        return []
    return store.rows(f"SELECT {RUN_COLUMNS} FROM ({_selected(condition, runs)})", {**places(store, ids), **condition.parameters})


def without_calls(store: Store, given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Rows of runs, as of such that have no model calls.

    :param given: their places()
    """
    return store.rows(f"SELECT {RUN_COLUMNS} FROM ({_WITHOUT_CALLS})", given)


def with_calls(store: Store, rows: Sequence[dict[str, Any]], calls: Mapping[str, Calls] | None = None) -> list[Run]:
    """The same with their model calls.

    :param calls: those of each run; None: they are read
    """
    if not rows:
        return []
    if calls is None:
        given = places(store, [row["run_id"] for row in rows])
        if sum(row["spans"] for row in rows) > MOST_SPANS:
            selected = f"SELECT run_id, {', '.join(CALL_COLUMNS)} FROM ({_OF_RUNS})"
            found = {row["run_id"]: row for row in store.rows(selected, given)}
            return [Run(**(row | found.get(row["run_id"], {}))) for row in rows]
        calls = calls_of(store, given)
    none = Calls()
    return [Run(**(row | calls.get(row["run_id"], none).of_run())) for row in rows]


def _selected(condition: Condition, runs: str) -> str:
    return f"SELECT * FROM (SELECT *, run_id AS trace_id FROM ({runs})) WHERE {condition.sql}"


def places(store: Store, ids: Sequence[str]) -> dict[str, Any]:
    """Where the spans of runs are: ``ids``, their ``first`` and ``last`` start in nanoseconds, and the ``days`` on which they arrived."""
    given = {"ids": list(ids)}
    [(first, last, days)] = store.query(
        "SELECT min(first_ns), max(last_ns), groupUniqArray(day) FROM traces WHERE trace_id IN {ids:Array(String)}", given
    ).result_rows
    return {**given, "first": first, "last": last, "days": days}


def _text(text: str, is_phrase: bool, bind: Bind) -> str:
    place = bind("String", text)
    held = f"SELECT trace_id FROM payloads WHERE trace_id IN {{ids:Array(String)}} AND {words(place, is_phrase)}"
    return f"(trace_id IN ({held}) OR trace_id IN (SELECT trace_id FROM {_WITHIN} WHERE {seen(place)}))"


def _attribute(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
    return f"trace_id IN (SELECT trace_id FROM {_WITHIN} WHERE {attribute(key, operator, value, kind)})"
