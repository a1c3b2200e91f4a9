"""How often each value of some fields occurs in a list: in all of it, or in as much as is counted, and then that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from clew.observe.query import logs, run_summary, sessions
from clew.observe.query.errors import groups
from clew.observe.query.rolled import by_level, rolled
from clew.observe.query.run_summary import Counted, Facet
from clew.observe.query.search import search
from clew.observe.store.store import Store

Of = Literal["spans", "runs", "sessions", "logs", "errors"]
LISTS: tuple[Of, ...] = get_args(Of)

HITS: Final = 2_000
"""Most spans that are counted, the newest: they are found as a search finds them. Rollups count any number."""
COUNTED: Final = 100_000
"""Most log records or failures that are counted, the newest."""


@dataclass(frozen=True, slots=True)
class Facets:
    """Values of some fields, the most frequent ones."""

    of: Of
    facets: list[Facet]
    counted: int
    """Rows of the list that were counted."""
    more: bool
    """Whether there may be older ones, which were not counted."""


_SPANS = ("kind", "status", "agent", "tool", "model", "error", "service")
"""Labels of rollups, and fields of a hit."""
_LOGS: Mapping[str, str] = {
    "level": logs.LOG_FIELDS["level"].column_sql,
    "service": "toString(service)",
    "event": "toString(event_name)",
    "scope": "toString(scope_name)",
}
_ERRORS: Mapping[str, str] = {
    "kind": "of_kind",
    "error": "of_error",
    "agent": "of_agent",
    "tool": "of_tool",
    "model": "of_model",
    "service": "of_service",
}


def facets(store: Store, text: str = "", *, of: Of = "spans", values: int = 8) -> Facets:
    """Counts of the rows of a list that match the filter, which has the fields of that list; of ``errors`` it counts failures where they began.

    :param values: most values of each field
    :raises FilterError: the filter does not parse; points at the character
    """
    return _COUNTING[of](store, text, values)


def _of_spans(store: Store, text: str, values: int) -> Facets:
    now = datetime.now(UTC)
    found: dict[str, Facet] = {}
    total = 0
    for fields in by_level(text, _SPANS):
        source = rolled(store, text, now, by=fields)
        if source is None:
            hits = search(store, text, limit=HITS)
            return _tallied(
                "spans", {field: [getattr(hit, field) for hit in hits.hits] for field in _SPANS}, len(hits.hits), hits.more, values
            )
        columns = ", ".join(f"toString({field}) AS f_{field}" for field in fields)
        counted = _counted(
            store, "spans", f"SELECT {columns}, spans FROM {source.table('spans')}", fields, source.parameters, values, "sum(spans)"
        )
        found |= {facet.field: facet for facet in counted.facets}
        total = counted.counted
    return Facets("spans", [found[field] for field in _SPANS], total, False)


def _of_logs(store: Store, text: str, values: int) -> Facets:
    condition = logs.condition_of(text)
    columns = ", ".join(f"{sql} AS f_{field}" for field, sql in _LOGS.items())
    newest = f"SELECT {columns} FROM log_records FINAL WHERE {condition.sql} ORDER BY time_ns DESC LIMIT {COUNTED}"
    return _counted(store, "logs", newest, list(_LOGS), condition.parameters, values)


def _of_errors(store: Store, text: str, values: int) -> Facets:
    question = groups.Question.of(store, text, 1)
    columns = ", ".join(f"{sql} AS f_{field}" for field, sql in _ERRORS.items())
    failures = f"SELECT {columns} FROM ({groups.failures(question)}) WHERE is_inside LIMIT {COUNTED}"
    found = _counted(store, "errors", failures, list(_ERRORS), question.parameters, values)
    return Facets("errors", found.facets, found.counted, (question.since_ns or 0) > question.parameters["window_first"])


def _counted(store: Store, of: Of, rows: str, fields: list[str], given: Mapping[str, Any], values: int, figure: str = "count()") -> Facets:
    """
    :param rows: SELECT with a column ``f_FIELD`` for each field; as many as COUNTED are cut there
    :param figure: what is counted in them
    """
    columns = ", ".join(f"f_{field}" for field in fields)
    sets = ", ".join(f"(f_{field})" for field in fields)
    # A row of a set has '' in the columns of the other sets.
    found = store.query(
        f"SELECT grouping({columns}) AS of_set, concat({columns}) AS value, {figure} AS n FROM ({rows}) "
        f"GROUP BY GROUPING SETS ({sets}, ()) ORDER BY of_set, n DESC, value LIMIT {values + 2} BY of_set",
        dict(given),
    ).result_rows
    whole = (1 << len(fields)) - 1
    by_set: dict[int, list[tuple[str, int]]] = {}
    for number, value, count in found:
        by_set.setdefault(number, []).append((value, count))
    counted = by_set.get(whole, [("", 0)])[0][1]
    numbered = {field: whole - (1 << (len(fields) - 1 - place)) for place, field in enumerate(fields)}
    made = [_facet(field, by_set.get(number, []), values) for field, number in numbered.items()]
    return Facets(of, made, counted, counted >= COUNTED)


def _of_runs(store: Store, text: str, values: int) -> Facets:
    found = run_summary.summary(store, text, values=values)
    return Facets("runs", found.facets, found.runs, found.more)


def _of_sessions(store: Store, text: str, values: int) -> Facets:
    found, more = sessions.newest(store, text)
    columns = {
        "user": [one.user_id for one in found],
        "agent": [agent for one in found for agent in one.agents],
        "model": [model for one in found for model in one.models],
    }
    return _tallied("sessions", columns, len(found), more, values)


def _tallied(of: Of, columns: Mapping[str, Iterable[str]], counted: int, more: bool, values: int) -> Facets:
    tallies = {field: sorted(Counter(column).items(), key=lambda pair: (-pair[1], pair[0])) for field, column in columns.items()}
    return Facets(of, [_facet(field, rows, values) for field, rows in tallies.items()], counted, more)


def _facet(field: str, rows: Iterable[tuple[str, int]], values: int) -> Facet:
    """Rows without a value are left out."""
    named = [Counted(value, int(count)) for value, count in rows if value]
    return Facet(field, named[:values], len(named) > values)


_COUNTING: Mapping[Of, Callable[[Store, str, int], Facets]] = {
    "spans": _of_spans,
    "runs": _of_runs,
    "sessions": _of_sessions,
    "logs": _of_logs,
    "errors": _of_errors,
}
