"""What a filter may say next: the fields of each list, and the values and attributes that occur in recent records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from clew.errors import QueryError
from clew.observe.query.filter_sql import Field
from clew.observe.query.logs import LOG_FIELDS
from clew.observe.query.runs import RUN_FIELDS
from clew.observe.query.search import FIELDS
from clew.observe.query.sessions import SESSION_FIELDS
from clew.observe.store import rollups, sketches
from clew.observe.store.normalise import NEWEST_FIRST
from clew.observe.store.rollups import LABELS
from clew.observe.store.store import Store

Of = Literal["spans", "runs", "sessions", "logs"]
LISTS: tuple[Of, ...] = get_args(Of)

RECENT = 50_000
"""Newest records that are looked at: what one has in mind is among them, and it takes some tens of milliseconds whatever the store holds."""
ATTRIBUTES_OF = 10_000
"""The same for attributes, which take longer to read."""

ROWS = 1_000_000
"""The same for rows of rollups, which hold many spans each and are narrow."""

_FIELDS: dict[Of, dict[str, Field]] = {"spans": FIELDS, "runs": RUN_FIELDS, "sessions": SESSION_FIELDS, "logs": LOG_FIELDS}


@dataclass(frozen=True, slots=True)
class FieldHelp:
    """A field that a filter may name."""

    name: str
    type: str
    values: list[str]
    """All there are, for an enum; else none."""
    help: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A value or a name."""

    text: str
    count: int | None
    """In how many of the records that were looked at it occurs; None for the values of an enum, which are not looked up."""


@dataclass(frozen=True, slots=True)
class Suggestions:
    """Most frequent first."""

    suggestions: list[Suggestion]
    more: bool


def field_help(of: Of = "spans") -> list[FieldHelp]:
    """The fields of one list."""
    return [FieldHelp(field.name, field.type, list(field.values or ()), field.help) for field in _FIELDS[of].values()]


def attributes(store: Store, prefix: str = "", *, of: Of = "spans", limit: int = 20) -> Suggestions:
    """Names of attributes that begin so (in any case): those of all spans in a large store, by its sketches, else of the newest ATTRIBUTES_OF
    records."""
    if of != "logs" and _sketched(store):
        names = "SELECT substring(name, 2) AS text, spans FROM sketches WHERE startsWith(name, '@')"
        return _suggest(store, names, prefix, limit, occurrences="sum(spans)")
    recent = _recent(of, "attributes", ATTRIBUTES_OF)
    return _suggest(store, f"SELECT arrayJoin(mapKeys(attributes)) AS text FROM ({recent})", prefix, limit)


def values(store: Store, field: str, prefix: str = "", *, of: Of = "spans", limit: int = 20) -> Suggestions:
    """Values of a field, or of an attribute (``@name``), that begin so (in any case), of the newest RECENT records. In a large store: what
    rollups hold, of their newest ROWS rows, which are days to months; the frequent values of attributes and of the fields of
    ``sketches.FIELDS``, by its sketches.

    :raises QueryError: there is no such field, or its values are numbers
    """
    if of != "logs" and (field.startswith("@") or (field in _FIELDS[of] and field in sketches.FIELDS)) and _sketched(store):
        top = f"SELECT arrayJoin(topKWeightedMerge({sketches.TOP})(frequent)) AS found FROM sketches WHERE name = {{name:String}}"
        return _suggest(
            store, f"SELECT found.1 AS text, found.2 AS times FROM ({top})", prefix, limit, occurrences="sum(times)", name=field
        )
    if field.startswith("@"):
        recent = _recent(of, "attributes[{attribute:String}] AS text", ATTRIBUTES_OF)
        return _suggest(store, recent, prefix, limit, attribute=field[1:])
    known = _FIELDS[of].get(field)
    if known is None:
        raise QueryError(f"{of} have no field {field!r}; they have {', '.join(_FIELDS[of])}")
    if known.type == "enum":
        found = [Suggestion(value, None) for value in known.values or () if value.lower().startswith(prefix.lower())]
        return Suggestions(found[:limit], len(found) > limit)
    if known.type != "text":
        raise QueryError(f"{field} is compared by size, so that there is nothing to choose from; write {field}:>1")
    if of == "logs":
        return _suggest(store, _recent(of, f"toString({known.column_sql}) AS text", RECENT), prefix, limit)
    if field in LABELS and rollups.exist(store):
        rolled = f"SELECT toString({field}) AS text, spans FROM rollups WHERE level = 'minute' ORDER BY level DESC, at DESC LIMIT {ROWS}"
        return _suggest(store, rolled, prefix, limit, occurrences="sum(spans)")
    alike = FIELDS[field]  # what a run or session is found by is a column of its spans
    column = (
        "if(agent != '', toString(agent), if(kind = 'agent', toString(name), ''))" if field == "agent" else f"toString({alike.column_sql})"
    )
    return _suggest(store, _recent("spans", f"{column} AS text", RECENT), prefix, limit)


def _sketched(store: Store) -> bool:
    """Whether the store has sketches; a large one has from the first question on."""
    if not rollups.exist(store):
        return False
    sketches.begin(store)
    return True


def _recent(of: Of, column: str, count: int) -> str:
    table, order = ("log_records", "time_ns DESC") if of == "logs" else ("span_records", NEWEST_FIRST)
    return f"SELECT {column} FROM {table} ORDER BY {order} LIMIT {count}"


def _suggest(store: Store, recent: str, prefix: str, limit: int, *, occurrences: str = "count()", **given: Any) -> Suggestions:
    rows = store.query(
        f"SELECT text, {occurrences} AS n FROM ({recent}) WHERE text != '' AND startsWith(lower(text), lower({{prefix:String}})) "
        "GROUP BY text ORDER BY n DESC, text LIMIT {ask:UInt64}",
        {"prefix": prefix, "ask": limit + 1, **given},
    ).result_rows
    return Suggestions([Suggestion(*row) for row in rows[:limit]], len(rows) > limit)
