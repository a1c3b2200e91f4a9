"""Sessions: the runs that share a session id, the newest first; and the fields by which the filter language finds them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime

from clew.observe.query import cursor
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import Condition, Field, compile, no_attribute, no_text
from clew.observe.store.schema import select_runs
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Session:
    """One session. Times are nanoseconds since 1970, UTC; unknown is None, never 0."""

    session_id: str
    user_id: str
    runs: int
    first_ns: int
    """Start of its first run."""
    last_ns: int
    """Start of its last run."""
    spans: int
    errors: int
    failed_runs: int
    agents: list[str]
    models: list[str]
    model_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    """None when the cost of any run is not known; then ``partial_cost_usd`` is what is known."""
    partial_cost_usd: float


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A page of sessions."""

    sessions: list[Session]
    """That with the newest span first."""
    more: bool
    """Whether there may be more: the page is full, or LOOKED_AT sessions were looked at."""
    next: str | None
    """The cursor of the next page, when there may be more."""


LOOKED_AT = 5_000
"""Most sessions that a filter is tried on for one page."""
CHUNK = 200

SESSION_FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("session", "session_id", "text", help="Session"),
        Field("user", "user_id", "text", help="End user"),
        Field("agent", "agent", "text", help="An agent of its runs", each="agents"),
        Field("model", "model", "text", help="A model that was called in them", each="models"),
        Field("start", "first_ns", "time", help="When its first run started"),
        Field("last", "last_ns", "time", help="When its last run started"),
        Field("runs", "toFloat64(runs)", "number", help="Runs"),
        Field("failed", "toFloat64(failed_runs)", "number", help="Runs that failed"),
        Field("spans", "toFloat64(spans)", "number", help="Spans"),
        Field("errors", "toFloat64(errors)", "number", help="Spans that failed"),
        Field("calls", "toFloat64(model_calls)", "number", help="Model calls"),
        Field("cost", "cost_usd", "usd", help="Cost in USD"),
        Field("tokens", "(toFloat64(input_tokens) + output_tokens)", "number", help="Input and output tokens"),
    )
}

_NEWEST = """SELECT session_id, max(start_ns) AS newest, groupUniqArray(trace_id) AS traces FROM span_records
WHERE session_id != '' GROUP BY session_id
HAVING newest < {at_ns:UInt64} OR (newest = {at_ns:UInt64} AND session_id > {at_session:String})
ORDER BY newest DESC, session_id LIMIT {count:UInt64}"""

_SESSIONS = f"""SELECT session_id, max(user_id) AS user_id, count() AS runs, min(r.start_ns) AS first_ns, max(r.start_ns) AS last_ns,
    sum(r.spans) AS spans, sum(r.errors) AS errors, countIf(r.status = 'error') AS failed_runs,
    arraySort(groupUniqArrayArray(r.agents)) AS agents, arraySort(groupUniqArrayArray(r.models)) AS models, sum(r.model_calls) AS model_calls,
    sum(r.input_tokens) AS input_tokens, sum(r.output_tokens) AS output_tokens,
    if(countIf(isNull(r.cost_usd)) > 0, NULL, sum(r.partial_cost_usd)) AS cost_usd, sum(r.partial_cost_usd) AS partial_cost_usd
FROM ({select_runs("trace_id IN {ids:Array(String)}")}) AS r WHERE session_id != '' GROUP BY session_id"""

_EVER = (1 << 64) - 1


def newest(store: Store, text: str = "") -> tuple[list[Session], bool]:
    """Of the newest LOOKED_AT sessions those that match the filter, in no order; and whether there are older ones.

    :raises FilterError: as page() does
    """
    condition = _condition(text)
    rows = store.query(_NEWEST, {"at_ns": _EVER, "at_session": "", "count": LOOKED_AT + 1}).result_rows
    ids = sorted({trace_id for _, _, traces in rows[:LOOKED_AT] for trace_id in traces})
    known = {session for session, _, _ in rows[:LOOKED_AT]}
    return [one for one in _matching(store, condition, ids) if one.session_id in known], len(rows) > LOOKED_AT


def _condition(text: str) -> Condition:
    return compile(
        parse(text),
        SESSION_FIELDS,
        now=datetime.now(UTC),
        text=no_text("a session"),
        attribute=no_attribute("a session"),
        key="session_id",
    )


def _matching(store: Store, condition: Condition, ids: list[str]) -> list[Session]:
    """The sessions of these runs that match."""
    if not ids:
        return []
    rows = store.rows(f"SELECT * FROM ({_SESSIONS}) WHERE {condition.sql}", {**condition.parameters, "ids": ids})
    return [Session(**{field.name: row[field.name] for field in fields(Session)}) for row in rows]


def page(store: Store, text: str = "", *, limit: int = 50, after: str | None = None) -> SessionPage:
    """The newest ``limit`` sessions that match the filter, whose fields are SESSION_FIELDS.

    :param after: cursor; only what comes after the page that gave it
    :raises FilterError: the filter does not parse, or asks for words or attributes, which a session has none of; points at the character
    :raises QueryError: ``after`` is no cursor
    """
    condition = _condition(text)
    at_ns, at_session = cursor.read(after, tuple[int, str]) if after is not None else (_EVER, "")
    found: list[tuple[int, Session]] = []
    looked_at = 0
    chunk = limit + 1 if not text.strip() else max(CHUNK, limit + 1)
    while True:
        rows = store.query(_NEWEST, {"at_ns": at_ns, "at_session": at_session, "count": chunk}).result_rows
        starts = {session: at for session, at, _ in rows}
        ids = sorted({trace_id for _, _, traces in rows for trace_id in traces})
        sessions = _matching(store, condition, ids)
        # A run has one session, and may carry spans of another that is on another page.
        found += sorted(
            ((starts[one.session_id], one) for one in sessions if one.session_id in starts), key=lambda it: (-it[0], it[1].session_id)
        )
        looked_at += len(rows)
        if rows:
            at_session, at_ns, _ = rows[-1]
        if len(found) > limit:
            at_ns, at_session = found[limit - 1][0], found[limit - 1][1].session_id
        elif len(rows) < chunk:
            return SessionPage([session for _, session in found], False, None)
        elif looked_at < LOOKED_AT:
            continue
        return SessionPage([session for _, session in found[:limit]], True, cursor.write(at_ns, at_session))
