"""Panels as SQL over the public views: what a reader copies, changes and runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from clew.errors import FilterError
from clew.observe.query.dashboards.asking import Asked, joined
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import Bind, Condition, Field, compile
from clew.observe.query.search import FIELDS, attribute, words

_AGENT: Final = "multiIf(spans.agent != '', spans.agent, spans.kind = 'agent', spans.name, '')"
_OF_VIEW: Final[dict[str, dict[str, str]]] = {
    "kind": {"column_sql": "kind", "equals": ""},
    "status": {"column_sql": "status", "equals": ""},
    "state": {"column_sql": "state"},
    "model": {"column_sql": "model", "equals": ""},
    "agent": {"own": _AGENT},
    "duration": {"column_sql": "duration_ns"},
}
"""Field -> how the view ``spans`` has it, where that is not as the table does."""
VIEW_FIELDS: Final[dict[str, Field]] = {name: replace(field, **_OF_VIEW.get(name, {})) for name, field in FIELDS.items()}  # type: ignore[arg-type]

_PLACE: Final = re.compile(r"\{(\w+):[^{}]+\}")


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(literal, value))}]"
    text = str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\0", "\\0")
    return f"'{text}'"


def inlined(sql: str, parameters: Mapping[str, Any]) -> str:
    """SQL with the values in the places of its parameters."""
    return _PLACE.sub(lambda place: literal(parameters[place[1]]) if place[1] in parameters else place[0], sql)


def _text(text: str, is_phrase: bool, bind: Bind) -> str:
    place = bind("String", text)
    return (
        f"(arrayExists(h -> h IN (SELECT hash FROM payloads WHERE {words(place, is_phrase)}), mapValues(contents)) "
        f"OR positionCaseInsensitiveUTF8(name, {place}) > 0 OR positionCaseInsensitiveUTF8(status_message, {place}) > 0)"
    )


def condition(filter: str) -> str:
    """A filter as a condition on the view ``spans``.

    :raises FilterError: it does not parse; points at the character
    """
    found: Condition = compile(parse(filter), VIEW_FIELDS, now=datetime.now(UTC), text=_text, attribute=attribute)
    return inlined(found.sql, found.parameters)


def refused(filter: str) -> Iterator[str]:
    """What is wrong with a filter."""
    try:
        condition(filter)
    except FilterError as error:
        yield f"the filter is not understood: {error}"


def within(filter: str, asked: Asked) -> str:
    """The conditions of a panel, with its time."""
    given = joined(filter, asked.filter)
    times = f"start_ns BETWEEN {asked.period.first_ns} AND {asked.period.last_ns}"
    return f"{times} AND {condition(given)}" if given else times


_CALLS: Final = {
    "calls": "countIf(is_call) AS calls",
    "input_tokens": "sumIf(call_input, is_call) AS input_tokens",
    "output_tokens": "sumIf(call_output, is_call) AS output_tokens",
    "tokens": "sumIf(ifNull(call_input, 0) + ifNull(call_output, 0), is_call) AS tokens",
    "cost": "sumIf(ifNull(call_cost, 0), is_call) AS partial_cost_usd, countIf(is_call AND isNull(call_cost)) AS calls_without_cost",
}
_SPANS: Final = {
    "spans": "count() AS spans",
    "per_minute": "count() / {minutes} AS per_minute",
    "errors": "countIf(status = 'error') AS errors",
    "error_rate": "countIf(status = 'error') / count() AS error_rate",
    **{f"p{level}": f"quantileExact(0.{level})(duration_ns) AS p{level}_ns" for level in (50, 95, 99)},
}
FIGURE_SQL: Final = {**_SPANS, **_CALLS}
"""Figure of FIGURES -> its SQL."""


def of_spans(filter: str, asked: Asked, by: str, figures: Sequence[str], bucket_ns: int | None) -> str:
    """The SELECT of figures over spans."""
    minutes = repr(bucket_ns / 60e9 if bucket_ns else asked.period.minutes())
    selected = [FIGURE_SQL[figure].replace("{minutes}", minutes) for figure in figures]
    groups, joins = [], []
    if bucket_ns is not None:
        selected.insert(0, f"fromUnixTimestamp64Nano(intDiv(toInt64(start_ns), {bucket_ns}) * {bucket_ns}, 'UTC') AS at")
        groups.append("at")
    if by:
        selected.insert(0, f"{_key(by)} AS key")
        groups.append("key")
    if by == "agent":
        joins.append(
            "LEFT JOIN (SELECT trace_id, span_id, agent AS inherited FROM settled FINAL WHERE agent != '') AS above USING (trace_id, span_id)"
        )
    if set(figures) & {*_CALLS}:
        joins.append(
            "LEFT JOIN (SELECT trace_id, span_id, true AS is_call, input_tokens AS call_input, output_tokens AS call_output, cost_usd AS call_cost "
            "FROM model_calls) AS calls USING (trace_id, span_id)"
        )
    lines = [f"SELECT {', '.join(selected)}", f"FROM (SELECT * FROM spans WHERE {within(filter, asked)}) AS spans", *joins]
    if groups:
        lines.append(f"GROUP BY {', '.join(groups)}")
    order = "at" if bucket_ns is not None else f"{selected[1].rpartition(' AS ')[2] if by else 1} DESC"
    return "\n".join([*lines, f"ORDER BY {order}"])


def _key(by: str) -> str:
    if by.startswith("@"):
        return f"attributes[{literal(by[1:])}]"
    if by == "agent":
        return f"if({_AGENT} != '', {_AGENT}, inherited)"
    return f"spans.{VIEW_FIELDS[by].column_sql}" if by != "duration" else "duration_ns"
