"""How often each value of some fields occurs in a list: in all of it, or in as much as is counted, and then that is said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from clew.observe.query import logs, run_summary, runs, sessions
from clew.observe.query.aggregates import AGENT, spans_that_match
from clew.observe.query.errors import groups
from clew.observe.query.filter import parse
from clew.observe.query.rolled import rolled
from clew.observe.query.run_summary import Counted, Facet
from clew.observe.query.search import condition_of
from clew.observe.query.window import window
from clew.observe.store.store import Store

Of = Literal["spans", "runs", "sessions", "logs", "errors"]
LISTS: tuple[Of, ...] = get_args(Of)

COUNTED: Final = 100_000
"""Most spans, log records or failures that are counted, the newest; rollups count any number."""
RUNS = 20_000
"""Most runs that a filter is tried on: each is summed up from its spans."""


@dataclass(frozen=True, slots=True)
class Facets:
    """Values of some fields, the most frequent ones."""

    of: Of
    facets: list[Facet]
    counted: int
    """Rows of the list that were counted."""
    more: bool
    """Whether there may be older ones, which were not counted."""


_SPANS: Mapping[str, str] = {
    "kind": "toString(kind)",
    "status": "toString(status)",
    "agent": AGENT,
    "tool": "toString(tool)",
    "model": "toString(if(response_model != '', response_model, request_model))",
    "error": "toString(error_type)",
    "service": "toString(service)",
}
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
    sources = {field: rolled(store, text, now, by=(field,)) for field in _SPANS} if rolled(store, text, now) else {}
    if not sources or None in sources.values():
        condition = condition_of(store, text, now=now)
        given = {**window(parse(text), now).parameters, **condition.parameters}
        columns = {f"f_{field}": sql for field, sql in _SPANS.items()}
        newest = f"SELECT * FROM {spans_that_match(condition.sql, columns, agents=True)} ORDER BY start_ns DESC LIMIT {COUNTED}"
        return _counted(store, "spans", newest, list(_SPANS), given, values)
    found = []
    for field, source in sources.items():
        assert source is not None
        rows = store.pairs(
            f"SELECT toString({field}) AS value, sum(spans) AS n FROM {source.table} GROUP BY value ORDER BY n DESC, value",
            source.parameters,
        )
        total = sum(rows.values())
        found.append(_facet(field, rows.items(), values))
    return Facets("spans", found, int(total), False)


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
    return Facets("errors", found.facets, found.counted, question.since_ns is not None)


def _counted(store: Store, of: Of, rows: str, fields: list[str], given: Mapping[str, Any], values: int) -> Facets:
    """:param rows: SELECT with a column ``f_FIELD`` for each field; as many as COUNTED are cut there"""
    columns = ", ".join(f"f_{field}" for field in fields)
    sets = ", ".join(f"(f_{field})" for field in fields)
    # A row of a set has '' in the columns of the other sets.
    found = store.query(
        f"SELECT grouping({columns}) AS of_set, concat({columns}) AS value, count() AS n FROM ({rows}) "
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
    newest = runs.newest(store, text, most=RUNS)
    found, counted = run_summary.facets_of(store, newest.select_with_calls, newest.parameters, values)
    return Facets("runs", found, counted, newest.looked_at >= RUNS)


def _of_sessions(store: Store, text: str, values: int) -> Facets:
    found, more = sessions.newest(store, text)
    columns: dict[str, Iterable[str]] = {
        "user": [one.user_id for one in found],
        "agent": [agent for one in found for agent in one.agents],
        "model": [model for one in found for model in one.models],
    }
    made = [_facet(field, sorted(Counter(of).items(), key=lambda pair: (-pair[1], pair[0])), values) for field, of in columns.items()]
    return Facets("sessions", made, len(found), more)


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
