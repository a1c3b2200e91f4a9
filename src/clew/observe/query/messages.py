"""What people and models said to each other in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from clew.observe.query.traces import resolve, resolve_span
from clew.observe.store.schema import select_messages
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a model call or agent."""

    span_id: str
    direction: Literal["system", "input", "output"]
    position: int
    """Counts from 0 within its span and direction."""
    role: str
    content: str
    """Text, several parts joined by a line feed; '' when there is none, as in a message that only calls tools."""
    parts: str
    """The JSON of the message where the sender gave JSON, else ''."""


@dataclass(frozen=True, slots=True)
class Messages:
    """Messages in the order of their spans' starts; within a span system, input, output."""

    messages: list[Message]
    more: bool
    """Whether the list was cut at the limit."""


_OF_RUN = "SELECT * FROM messages WHERE trace_id = {trace:String}"
_OF_SPAN = select_messages("trace_id = {trace:String} AND span_id = {span:String}")
_ORDERED = """SELECT span_id, direction, position, role, content, parts FROM ($messages) AS m
LEFT ANY JOIN (
    SELECT span_id, start_ns FROM span_records FINAL
    WHERE trace_id = {trace:String} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}
) AS s USING (span_id)
ORDER BY start_ns, span_id, indexOf(['system', 'input', 'output'], direction), position LIMIT {offset:UInt64}, {ask:UInt64}"""


def messages(store: Store, run_id: str, *, span_id: str | None = None, limit: int = 500, offset: int = 0) -> Messages:
    """Messages of a run, or of one span of it (shortened ids allowed).

    :raises NotFound: no run, or no span of it, has that id
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    span = resolve_span(store, trace_id, span_id) if span_id else ""
    [(first, last)] = store.query(
        "SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id = {trace:String}", {"trace": trace_id}
    ).result_rows
    ordered = _ORDERED.replace("$messages", _OF_SPAN if span else _OF_RUN)
    rows = store.rows(ordered, {"trace": trace_id, "span": span, "first": first, "last": last, "offset": offset, "ask": limit + 1})
    return Messages([Message(**row) for row in rows[:limit]], len(rows) > limit)
