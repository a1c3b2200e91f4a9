"""Search over log records in the filter language: the fields it knows there."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from clew.observe.query import cursor
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import AttributeKind, AttributeOperator, Bind, Condition, Field, compile
from clew.observe.query.search import ARRIVED, attribute
from clew.observe.store.store import Store

_LEVELS = ("unset", "trace", "debug", "info", "warn", "error", "fatal")
_LEVEL = f"[{', '.join(map(repr, _LEVELS))}][least(intDiv(severity_number + 3, 4), 6) + 1]"


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One log record. ``time_ns`` is nanoseconds since 1970, UTC."""

    run_id: str
    """'' when it belongs to no run."""
    span_id: str
    time_ns: int
    level: str
    """Level of OpenTelemetry's severity number: unset, trace, debug, info, warn, error or fatal."""
    severity_number: int
    severity_text: str
    event_name: str
    service: str
    scope_name: str
    body: str
    """Text; a body that was not text is JSON."""
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class LogPage:
    """A page of log records."""

    logs: list[LogRecord]
    """Newest first."""
    more: bool
    next: str | None
    """The cursor of the next page, when there is more."""


LOG_FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("level", f"({_LEVEL})", "enum", _LEVELS, help="Level of its severity"),
        Field("severity", "toFloat64(severity_number)", "number", help="OpenTelemetry severity, 1 to 24"),
        Field("event", "event_name", "text", help="Event that it is"),
        Field("service", "service", "text", help="Program that recorded it"),
        Field("scope", "scope_name", "text", help="Instrumentation that made it"),
        Field("body", "body", "text", help="Its whole text"),
        Field("run", "trace_id", "text", help="Run that it belongs to; a shortened id ends in *"),
        Field("span", "span_id", "text", help="Span that it belongs to"),
        Field("start", "time_ns", "time", help="When it happened"),
    )
}

_COLUMNS = f"""trace_id AS run_id, span_id, time_ns, {_LEVEL} AS level, severity_number, severity_text, event_name, service, scope_name, body,
    attributes, content_hash, ordinal"""
_KEY = "intDiv(time_ns, 1000000000) DESC, time_ns DESC, trace_id, content_hash, ordinal"
"""The table is in the order of seconds, so that it is read from its end, and no further than needed."""
_AFTER = """intDiv(time_ns, 1000000000) <= intDiv({at_ns:Int64}, 1000000000) AND time_ns <= {at_ns:Int64} AND (time_ns < {at_ns:Int64}
    OR (trace_id, content_hash, ordinal) > ({at_trace:String}, {at_hash:UInt64}, {at_ordinal:UInt32}))"""


def page(store: Store, text: str = "", *, limit: int = 100, after: str | None = None) -> LogPage:
    """The newest ``limit`` log records that match the filter, whose fields are LOG_FIELDS; words are those of the body.

    :param after: cursor; only what comes after the page that gave it
    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: ``after`` is no cursor
    """
    condition = condition_of(text)
    where, given = condition.sql, dict(condition.parameters)
    if after is not None:
        at_ns, at_trace, at_hash, at_ordinal = cursor.read(after, tuple[int, str, int, int])
        where = f"{_AFTER} AND {where}"
        given |= {"at_ns": at_ns, "at_trace": at_trace, "at_hash": at_hash, "at_ordinal": at_ordinal}
    rows = _distinct(store, where, given, limit + 1)
    shown = [LogRecord(**{field.name: row[field.name] for field in fields(LogRecord)}) for row in rows[:limit]]
    if len(rows) <= limit:
        return LogPage(shown, False, None)
    last = rows[limit - 1]
    return LogPage(shown, True, cursor.write(last["time_ns"], last["run_id"], last["content_hash"], last["ordinal"]))


def _distinct(store: Store, where: str, given: dict[str, Any], wanted: int) -> list[dict[str, Any]]:
    """The first ``wanted`` records. One that came twice is the same in everything that is asked for, and stands beside itself: leaving the
    second out here lets the engine stop after a few blocks, which it cannot with FINAL or LIMIT BY."""
    ask = wanted
    while True:
        rows = store.rows(f"SELECT {_COLUMNS} FROM log_records WHERE {where} ORDER BY {_KEY} LIMIT {{ask:UInt64}}", {**given, "ask": ask})
        found = list({(row["run_id"], row["time_ns"], row["content_hash"], row["ordinal"]): row for row in rows}.values())
        if len(found) >= wanted or len(rows) < ask:
            return found[:wanted]
        ask *= 2


def arrived(store: Store, text: str, *, first_ns: int, last_ns: int, limit: int = 500) -> LogPage:
    """The log records that match the filter and arrived between these times, both included, newest first.

    :raises FilterError: the filter does not parse; points at the character
    """
    condition = condition_of(text)
    rows = store.rows(
        f"SELECT {_COLUMNS} FROM log_records WHERE {ARRIVED} AND {condition.sql} ORDER BY {_KEY} LIMIT {{ask:UInt64}}",
        {**condition.parameters, "first_ns": first_ns, "last_ns": last_ns, "ask": limit + 1},
    )
    shown = [LogRecord(**{field.name: row[field.name] for field in fields(LogRecord)}) for row in rows[:limit]]
    return LogPage(shown, len(rows) > limit, None)


def condition_of(text: str) -> Condition:
    """The filter as SQL over ``log_records``.

    :raises FilterError: it does not parse
    """
    return compile(parse(text), LOG_FIELDS, now=datetime.now(UTC), text=_text, attribute=_attribute)


def _text(text: str, is_phrase: bool, bind: Bind) -> str:
    place = bind("String", text)
    words = f"hasAllTokens(lower(body), lower({place}))"
    return f"({words} AND positionCaseInsensitiveUTF8(body, {place}) > 0)" if is_phrase else words


def _attribute(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
    return f"mapContains(attributes, {key})" if operator == "present" else attribute(key, operator, value, kind)
