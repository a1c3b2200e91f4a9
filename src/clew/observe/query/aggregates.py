"""Figures over spans: counts, errors, percentiles, tokens and cost, by any field and over time; and profiles of agents' operations."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, NamedTuple

from clew.errors import QueryError
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import Condition
from clew.observe.query.filter_values import duration_ns
from clew.observe.query.rolled import HOUR_NS, PARTS, Part, Rolled, rolled
from clew.observe.query.rolled import figures as figures_of
from clew.observe.query.search import FIELDS, condition_of
from clew.observe.query.window import FOREVER, SPANS_WITHIN, TRACES_WITHIN, Window, window
from clew.observe.store.normalise import DURATION
from clew.observe.store.rollups import LABELS, MINUTE_NS, Range, any_of
from clew.observe.store.store import Store

MOST_ROWS = 10_000
"""Rows of one answer, such as 20 keys in 500 buckets."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Spans that share a key and a bucket of time. Unknown is None, never 0."""

    key: str
    """'' for spans that have none."""
    start_ns: int | None
    """Start of the bucket; None when there are no buckets."""
    spans: int
    errors: int
    p50_ns: int | None
    """Durations of ended spans: the one at that place when they are sorted."""
    p95_ns: int | None
    p99_ns: int | None
    model_calls: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    """Of the model calls among them; None when that of any is not known. ``partial_cost_usd`` is what is known."""
    partial_cost_usd: float


@dataclass(frozen=True, slots=True)
class Aggregates:
    """Figures by key and bucket."""

    by: str
    bucket_ns: int | None
    rows: list[Figures]
    """Without buckets that with the most spans first; with buckets in the order of time, and only of the ``limit`` keys with the most spans."""
    more: bool
    """Whether there are more keys, or more than MOST_ROWS rows."""


@dataclass(frozen=True, slots=True)
class Profile:
    """How one operation of one agent performs, in the names of the first design's profiles. Latencies are milliseconds."""

    agent: str
    operation: str
    """Name of the span."""
    p50Latency: float | None
    p95Latency: float | None
    p99Latency: float | None
    errorRate: float
    """From 0 to 1."""
    throughput: float | None
    """Operations per second, over the time of the answer; None when that is no time."""
    count: int


@dataclass(frozen=True, slots=True)
class Profiles:
    """Profiles, that with the most operations first."""

    profiles: list[Profile]
    from_ns: int | None
    """The time that they cover: what the filter says, else from the first start to the last; None when nothing matches."""
    to_ns: int | None
    more: bool


_TEXT_TYPES = ("text", "enum")
KEYS = tuple(field.name for field in FIELDS.values() if field.type in _TEXT_TYPES)

_AGENT = "multiIf(agent != '', toString(agent), kind = 'agent', toString(name), toString(inherited))"
_INHERITED = f"(SELECT trace_id, span_id, agent AS inherited FROM settled FINAL WHERE agent != '' AND {TRACES_WITHIN})"
_CALLS = f"""(SELECT trace_id, span_id, true AS is_call, input_tokens, output_tokens, cost_usd
    FROM model_calls WHERE {TRACES_WITHIN} AND {SPANS_WITHIN})"""
_COUNTS = "count() AS spans, countIf(failed) AS errors"
_TIMES = "".join(f", quantileExact({level})(duration) AS p{percent}_ns" for level, percent in ((0.5, 50), (0.95, 95), (0.99, 99)))
_SPENT = """, countIf(is_call) AS model_calls, sumIf(c.input_tokens, is_call) AS input_tokens, sumIf(c.output_tokens, is_call) AS output_tokens,
    sumIf(ifNull(c.cost_usd, 0), is_call) AS partial_cost_usd, if(countIf(is_call AND isNull(c.cost_usd)) > 0, NULL, partial_cost_usd) AS cost_usd"""
_NOT_ASKED: dict[str, Any] = dict.fromkeys(("p50_ns", "p95_ns", "p99_ns", "input_tokens", "output_tokens")) | dict.fromkeys(
    ("model_calls", "cost_usd", "partial_cost_usd"), 0
)


def _spans(condition: str, columns: Mapping[str, str], *, agents: bool) -> str:
    """The spans that match, each once, with these columns beside what figures need."""
    named = "".join(f", {sql} AS {name}" for name, sql in columns.items())
    inherited = f"LEFT ANY JOIN {_INHERITED} AS inherited_agents USING (trace_id, span_id)" if agents else ""
    return (
        f"(SELECT trace_id, span_id, start_ns, status = 'error' AS failed, {DURATION} AS duration{named} "
        f"FROM (SELECT * FROM span_records FINAL WHERE {SPANS_WITHIN} AND {condition}) AS span_records {inherited})"
    )


def aggregate(
    store: Store, text: str = "", *, by: str = "", bucket: str | None = None, limit: int = 20, parts: Collection[Part] = PARTS
) -> Aggregates:
    """Figures over the spans that match the filter.

    :param by: one of KEYS, or ``@`` and the name of an attribute; '' for all together
    :param bucket: length of a bucket of time, such as ``1m``; None for no buckets
    :param parts: those of the figures that are wanted; the others stay as if there were no ended spans, and no model calls
    :raises FilterError: the filter does not parse; points at the character
    :raises QueryError: ``by`` or ``bucket`` cannot be used
    """
    now = datetime.now(UTC)
    bucket_ns = _bucket(bucket)
    source = _of_rollups(store, text, by, bucket_ns, now, parts) or _of_spans(store, text, by, now, parts)
    given = dict(source.parameters)
    keep, order = "", "spans DESC, key"
    cut = False
    if bucket_ns is not None:
        keys = _most_frequent(store, source, limit + 1) if by else [""]
        cut = len(keys) > limit
        given |= {"keys": keys[:limit], "bucket": bucket_ns}
        keep, order = "WHERE key IN {keys:Array(String)}", "at, spans DESC, key"
    most = limit if bucket_ns is None else MOST_ROWS
    rows = store.rows(f"{source.figures(keep, bucket_ns)} ORDER BY {order} LIMIT {{most:UInt64}}", {**given, "most": most + 1})
    figures = [_figures(row, bucketed=bucket_ns is not None) for row in rows[:most]]
    return Aggregates(by, bucket_ns, figures, cut or len(rows) > most)


class _Source(NamedTuple):
    """Where figures come from."""

    table: str
    key: str
    """SQL of the key, over the table."""
    spans: str
    """SQL of how many spans there are, summed over the table."""
    figures: Callable[[str, int | None], str]
    """(WHERE or nothing, length of a bucket) -> the SELECT of figures by ``key`` and ``at``."""
    parameters: dict[str, Any]


def _most_frequent(store: Store, source: _Source, most: int) -> list[str]:
    sql = f"SELECT {source.key} AS key FROM {source.table} GROUP BY key ORDER BY {source.spans} DESC, key LIMIT {{most:UInt64}}"
    return [key for (key,) in store.query(sql, {**source.parameters, "most": most}).result_rows]


def _of_spans(store: Store, text: str, by: str, now: datetime, parts: Collection[Part]) -> _Source:
    condition = condition_of(store, text, now=now)
    given: dict[str, Any] = {**window(parse(text), now).parameters, **condition.parameters}
    spans = _spans(condition.sql, {"key": _key(by, given)}, agents=by == "agent")

    calls = f"LEFT ANY JOIN {_CALLS} AS c USING (trace_id, span_id)" if "calls" in parts else ""
    asked = f"{_COUNTS}{_TIMES if 'times' in parts else ''}{_SPENT if 'calls' in parts else ''}"

    def figures(keep: str, bucket_ns: int | None) -> str:
        at = "toInt64(intDiv(s.start_ns, {bucket:UInt64}) * {bucket:UInt64})" if bucket_ns is not None else "toInt64(0)"
        return f"SELECT key, {at} AS at, {asked} FROM {spans} AS s {calls} {keep} GROUP BY key, at"

    return _Source(spans, "key", "count()", figures, given)


def _of_rollups(store: Store, text: str, by: str, bucket_ns: int | None, now: datetime, parts: Collection[Part]) -> _Source | None:
    if by and by not in LABELS:
        return None
    rows = rolled(store, text, now, by=(by,) if by else (), bucket_ns=bucket_ns or HOUR_NS)
    if rows is None:
        return None
    key = f"toString({by})" if by else "''"

    def figures(keep: str, bucket_ns: int | None) -> str:
        at = f"toInt64(intDiv(r.at * {MINUTE_NS}, {{bucket:UInt64}}) * {{bucket:UInt64}})" if bucket_ns is not None else "toInt64(0)"
        return figures_of(rows, {"key": key, "at": at}, keep, parts=parts)

    return _Source(rows.table("spans"), key, "sum(spans)", figures, rows.parameters)


_NAMES = tuple(field.name for field in fields(Figures))


def _figures(row: dict[str, Any], *, bucketed: bool) -> Figures:
    row["start_ns"] = row.pop("at") if bucketed else None
    values = _NOT_ASKED | row
    return Figures(**{name: values[name] for name in _NAMES})


def _key(by: str, given: dict[str, Any]) -> str:
    if not by:
        return "''"
    if by.startswith("@"):
        given["attribute"] = by[1:]
        return "attributes[{attribute:String}]"
    if by not in KEYS:
        near = get_close_matches(by, KEYS, 1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(KEYS)}."
        raise QueryError(f"figures cannot be shown by {by!r}; {hint} An attribute is written @{by}")
    return _AGENT if by == "agent" else f"toString({FIELDS[by].column_sql})"


def _bucket(text: str | None) -> int | None:
    if text is None:
        return None
    length = duration_ns(text)
    if not length or length < 1_000_000:
        raise QueryError(f"{text!r} is no length of a bucket; write a number and a unit, as in 1m, 1h or 1d")
    return length


def profiles(store: Store, text: str = "", *, limit: int = 100) -> Profiles:
    """How the operations of agents perform, over the spans that match the filter.

    :raises FilterError: the filter does not parse; points at the character
    """
    now = datetime.now(UTC)
    within = window(parse(text), now)
    condition = condition_of(store, text, now=now)
    given = {**within.parameters, **condition.parameters}
    keys = {"agent_name": _AGENT, "operation": "toString(name)"}
    source = rolled(store, text, now, by=("agent", "name"))
    if source is None:
        found = f"SELECT agent_name, operation, {_COUNTS}{_TIMES} FROM {_spans(condition.sql, keys, agents=True)} GROUP BY agent_name, operation"
    else:
        found = figures_of(source, {"agent_name": "toString(r.agent)", "operation": "toString(r.name)"}, parts=["times"])
        given |= source.parameters
    rows = store.rows(
        f"SELECT *, agent_name AS agent FROM ({found}) ORDER BY spans DESC, agent, operation LIMIT {{most:UInt64}}",
        {**given, "most": limit + 1},
    )
    if not rows:
        return Profiles([], None, None, False)
    covered = _covered(within, _first_and_last(store, condition, within, source))
    return Profiles([_profile(row, covered) for row in rows[:limit]], covered.first_ns, covered.last_ns, len(rows) > limit)


def _first_and_last(store: Store, condition: Condition, within: Window, source: Rolled | None) -> Window:
    """When the first and the last span that matches starts; rollups know the minutes."""
    if within.first_ns:
        return within
    ends = SPANS_WITHIN
    if source is not None:
        [(first, last)] = store.query(f"SELECT min(at), max(at) FROM {source.table()}", source.parameters).result_rows
        ends = any_of([Range(at, at + 59).spans() for at in (first, last)])  # a row may be of a whole hour
    rows = store.query(
        f"SELECT min(start_ns), max(start_ns) FROM span_records FINAL WHERE {SPANS_WITHIN} AND {ends} AND {condition.sql}",
        {**within.parameters, **condition.parameters},
    ).result_rows
    return Window(*rows[0])


def _covered(within: Window, ends: Window) -> Window:
    last = ends.last_ns if within.last_ns == FOREVER and not within.first_ns else min(within.last_ns, time.time_ns())
    return Window(within.first_ns or ends.first_ns, last)


def _profile(row: Mapping[str, Any], covered: Window) -> Profile:
    seconds = (covered.last_ns - covered.first_ns) / 1e9
    p50, p95, p99 = (None if row[name] is None else row[name] / 1e6 for name in ("p50_ns", "p95_ns", "p99_ns"))
    throughput = row["spans"] / seconds if seconds > 0 else None
    return Profile(row["agent"], row["operation"], p50, p95, p99, row["errors"] / row["spans"], throughput, row["spans"])
