"""SQL of users, drawn as the panel's view says."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any

from clew.model.dashboards.panel import Panel, Sql, Unit
from clew.observe.query import sql
from clew.observe.query.dashboards.answer import Answer, Column, Row, Series, Value
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need
from clew.observe.store.store import Store

MOST_ROWS = 2000
LONGEST_S = 10.0
LONGEST_QUERY = 20_000
MOST_LINES = 20
CELL_CHARACTERS = 2000
"""Of a text in a cell; the rest is cut and says so."""

_NUMBER = re.compile(r"(U?Int|Float|Decimal)")
_TIME = re.compile(r"Date(Time)?")
_UNITS: tuple[tuple[str, Unit], ...] = (
    ("_usd", "usd"),
    ("_ns", "ns"),
    ("_ms", "ms"),
    ("_s", "s"),
    ("tokens", "tokens"),
    ("_rate", "share"),
    ("_bytes", "bytes"),
)
"""How a column's name ends, and what that says of its figures."""


def ask(store: Store, query: str, first_ns: int, last_ns: int) -> sql.Table:
    return sql.sql(store, query, max_rows=MOST_ROWS, timeout_s=LONGEST_S, parameters={"from": first_ns, "to": last_ns})


def _query(panel: Panel) -> str:
    assert isinstance(panel.question, Sql)
    return panel.question.query


def needs(panel: Panel, asked: Asked) -> list[Need]:
    return [Need(ask, (_query(panel), asked.period.first_ns, asked.period.last_ns))]


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    table: sql.Table = found[needs(panel, asked)[0]]
    notes = [f"only the first {MOST_ROWS} rows"] if table.truncated else []
    if asked.filter:
        notes.append("the filter does not apply to SQL")
    if not re.search(r"\{from:", _query(panel)):
        notes.append("the time range does not apply: the query does not use {from:Int64}")
    made = Answer(
        panel.id,
        provenance="The query's own rows.",
        sql=_query(panel).replace("{from:Int64}", str(asked.period.first_ns)).replace("{to:Int64}", str(asked.period.last_ns)),
        notes=notes,
    )
    return {"line": _lines, "stat": _stats}.get(panel.view, _rows)(panel, table, made)


def _is_number(kind: str) -> bool:
    return bool(_NUMBER.search(kind)) and not kind.startswith(("Array", "Map", "Tuple"))


def _unit(name: str) -> Unit:
    return next((unit for end, unit in _UNITS if name.endswith(end)), "")


def _lines(panel: Panel, table: sql.Table, made: Answer) -> Answer:
    """The first column of a time (or named ``at``) is the axis, one of text splits into lines, the others are figures."""
    places = range(len(table.columns))
    times = [place for place in places if _TIME.search(table.types[place]) or table.columns[place] in ("at", "start_ns", "time_ns")]
    figures = [place for place in places if _is_number(table.types[place]) and place not in times[:1]]
    if table.rows and (not times or not figures):
        return replace(made, trouble="a line needs a column of times and one of numbers: SELECT toStartOfHour(start_time) AS at, count() …")
    labels = [place for place in places if place not in times and place not in figures]
    axis = sorted({_ns(row[times[0]]) for row in table.rows if row[times[0]] is not None}) if times else []
    at = {time: number for number, time in enumerate(axis)}
    lines: dict[tuple[str, int], list[float | None]] = {}
    for row in table.rows:
        if row[times[0]] is None:
            continue
        label = " ".join(str(row[place]) for place in labels)
        for place in figures:
            values = lines.setdefault((label, place), [None] * len(axis))
            values[at[_ns(row[times[0]])]] = _figure(row[place])
    several = len(figures) > 1
    series = [
        Series(" ".join(filter(None, [label, table.columns[place] if several or not label else ""])), _unit(table.columns[place]), values)
        for (label, place), values in lines.items()
    ]
    notes = [*made.notes, f"only {MOST_LINES} of {len(series)} lines"] if len(series) > MOST_LINES else made.notes
    return replace(made, times=axis, series=series[:MOST_LINES], notes=notes)


def _ns(value: Any) -> int:
    if isinstance(value, str):
        text = value.removesuffix("Z")
        return round(datetime.fromisoformat(f"{text[:26]}+00:00" if "T" in text else f"{text}T00:00+00:00").timestamp() * 1e6) * 1000
    number = float(value)
    return int(number if number > 1e15 else number * 1e9)


def _figure(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None


def _stats(panel: Panel, table: sql.Table, made: Answer) -> Answer:
    values = [
        Value(name, _unit(name), _figure(table.rows[0][place]))
        for place, name in enumerate(table.columns)
        if table.rows and _is_number(table.types[place])
    ]
    if table.rows and not values:
        return replace(made, trouble="a stat needs a column of numbers: SELECT count() AS spans FROM spans")
    return replace(made, values=values)


def _rows(panel: Panel, table: sql.Table, made: Answer) -> Answer:
    if panel.view == "bars" and table.rows and (len(table.columns) < 2 or not _is_number(table.types[1])):
        return replace(made, trouble="bars need a column of names and then one of numbers: SELECT model, count() AS calls …")
    columns = [Column(name, _unit(name) if _is_number(kind) else "") for name, kind in zip(table.columns, table.types, strict=True)]
    rows = [Row([_cell(value) for value in row]) for row in table.rows[: panel.limit]]
    notes = [*made.notes, f"the first {len(rows)} of {len(table.rows)} rows"] if len(table.rows) > len(rows) else made.notes
    return replace(made, columns=columns, rows=rows, notes=notes)


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= CELL_CHARACTERS else f"{text[:CELL_CHARACTERS]}…"


def mistakes(panel: Panel) -> Iterable[str]:
    query = _query(panel)
    if not query.strip():
        yield "the query is empty; write a SELECT over the views of docs/sql.md"
    elif len(query) > LONGEST_QUERY:
        yield f"the query is longer than {LONGEST_QUERY} characters"
    else:
        yield from sql.refused(query)


KIND = Kind(needs, shape, mistakes, ("line", "stat", "bars", "table"), is_patient=True)
