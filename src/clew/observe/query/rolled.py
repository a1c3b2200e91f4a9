"""Figures from rollups: settled minutes from their rows, the others from spans, summed up alike."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clew.model.kinds import KINDS
from clew.observe.query.filter import And, Node, Not, Or, Term, all_of, parse
from clew.observe.query.filter_sql import Field, compile, no_attribute, no_text, times_of
from clew.observe.query.window import FOREVER, Window, is_exact, is_time, window
from clew.observe.store import rollups
from clew.observe.store.pricing import computed_cost, usd_per_million
from clew.observe.store.rollups import LABELS, MINUTE_NS
from clew.observe.store.store import Store

HOUR_NS = 60 * MINUTE_NS

_VALUES = {"kind": KINDS, "status": ("ok", "error", "unset")}
_FIELDS = {
    name: Field(name, f"toString({name})", "enum", _VALUES[name], equals=f"{name} = {{value}}")
    if name in _VALUES
    else Field(name, name, "text")
    for name in LABELS
}
_START = {"start": Field("start", "start_ns", "time")}


@dataclass(frozen=True, slots=True)
class Rolled:
    """Rows like those of rollups, for all spans that match a filter: a table for FROM, and the parameters in it."""

    table: str
    parameters: dict[str, Any]
    within: Window


def rolled(store: Store, text: str, now: datetime, *, by: Sequence[str] = (), bucket_ns: int = HOUR_NS) -> Rolled | None:
    """None when rollups cannot answer: the store has none, or the filter asks for more than labels and a time.

    :param by: the labels that are asked for; rows may be without any other
    :param bucket_ns: length of the buckets of time that are asked for
    """
    node = parse(text)
    nodes = node.nodes if isinstance(node, And) else (node,)
    times = [inner for inner in nodes if is_time(inner)]
    labels = all_of(inner for inner in nodes if not is_time(inner))
    if bucket_ns % MINUTE_NS or not all(map(is_exact, times)) or not _is_of_labels(labels) or not rollups.exist(store):
        return None
    if _has_odd_prices(store, seconds=60):
        return None
    compile(times_of(node), _START, now=now, text=no_text("a time"), attribute=no_attribute("a time"))  # says what is no time
    matching = compile(labels, _FIELDS, now=now, text=no_text("a rollup"), attribute=no_attribute("a rollup"))
    within = window(node, now)
    level = _level(labels, by)
    if bucket_ns % HOUR_NS or (level and _has_odd_prices(store, seconds=3600)):
        level = None
    return Rolled(f"({_rows(store, within, matching.sql, level)})", matching.parameters, within)


def by_level(text: str, labels: Sequence[str]) -> Iterable[list[str]]:
    """The labels, those together that one rolled() answers as fast as each of them."""
    node = parse(text)
    nodes = node.nodes if isinstance(node, And) else (node,)
    asked = all_of(inner for inner in nodes if not is_time(inner))
    found: dict[str | None, list[str]] = {}
    for label in labels:
        found.setdefault(_level(asked, [label]), []).append(label)
    return found.values()


def _level(labels: Node, by: Sequence[str]) -> str | None:
    """The first level of hours that has the labels of a filter and those that are asked for; None when only minutes have all."""
    wanted = {*by, *_labels_of(labels)}
    return next((level for level, names in rollups.HOURLY.items() if wanted <= {*names}), None)


def _is_of_labels(node: Node) -> bool:
    match node:
        case And(nodes) | Or(nodes):
            return all(map(_is_of_labels, nodes))
        case Not(inner):
            return _is_of_labels(inner)
        case Term(name, _, attribute):
            return not attribute and name in LABELS
        case _:
            return False


def _labels_of(node: Node) -> set[str]:
    match node:
        case And(nodes) | Or(nodes):
            return {name for inner in nodes for name in _labels_of(inner)}
        case Not(inner):
            return _labels_of(inner)
        case Term(name):
            return {name}
        case _:
            return set()


def _has_odd_prices(store: Store, *, seconds: int) -> bool:
    """Whether a price changes within so many seconds or at a number of tokens that is none of TIERS: rows do not tell the two prices apart."""
    return bool(
        store.value(
            "SELECT count() FROM prices FINAL WHERE "
            f"arrayExists(r -> (r.1 > 0 AND r.1 % {seconds} != 0) OR r.2 % {seconds} != 0 OR r.3 % {seconds} != 0 "
            f"OR arrayExists(c -> arrayExists(t -> t.1 NOT IN (0, {', '.join(map(str, rollups.TIERS))}), c), r.4), rules)"
        )
    )


def _rows(store: Store, within: Window, matching: str, level: str | None) -> str:
    first, last = max(within.first_ns, 0), within.last_ns
    whole = rollups.Range(-(-first // MINUTE_NS), (last + 1) // MINUTE_NS - (last != FOREVER))
    stale = rollups.stale(store, whole.first, whole.last)
    unsettled = rollups.ranges(stale)
    own = []
    if whole.first > whole.last:
        own = [f"start_ns BETWEEN {first} AND {last}"]
    else:
        if first < whole.first * MINUTE_NS:
            own.append(f"start_ns BETWEEN {first} AND {whole.first * MINUTE_NS - 1}")
        if last >= (whole.last + 1) * MINUTE_NS:
            own.append(f"start_ns BETWEEN {(whole.last + 1) * MINUTE_NS} AND {last}")
    parts = []
    if own:
        parts.append(f"SELECT {rollups.COLUMNS} FROM ({rollups.of_spans(rollups.any_of(own))}) WHERE {matching}")
    if unsettled:
        parts.append(f"SELECT {rollups.COLUMNS} FROM ({store.unrolled.rows(store, unsettled)}) WHERE {matching}")
    if whole.first <= whole.last:
        settled = f"{whole.rows()} AND NOT {rollups.any_of([one.rows() for one in unsettled])}"
        written = f"SELECT minute, max(rolled_ns) FROM rollup_minutes WHERE minute BETWEEN {whole.first} AND {whole.last} GROUP BY minute"
        hours = rollups.Range(-(-whole.first // 60), (whole.last + 1) // 60 - 1)
        if level is not None and hours.first <= hours.last:
            unwritten = rollups.ranges({*rollups.stale_hours(store, *hours), *(minute // 60 for minute in stale)})
            there = f"at BETWEEN {hours.first * 60} AND {hours.last * 60 + 59}"
            settled += (
                f" AND (NOT {there} OR {rollups.any_of([rollups.Range(one.first * 60, one.last * 60 + 59).rows() for one in unwritten])})"
            )
            base = rollups.HOURS
            numbered = rollups.Range(base + hours.first, base + hours.last).rows()
            others = rollups.any_of([rollups.Range(base + one.first, base + one.last).rows() for one in unwritten])
            parts.append(
                f"SELECT toUInt32((at - {base}) * 60) AS at, {rollups.COLUMNS.removeprefix('at, ')} FROM ("
                f"SELECT * FROM rollups WHERE level = '{level}' AND {numbered} AND NOT {others} AND {matching} "
                f"AND (at, rolled_ns) IN (SELECT minute, max(rolled_ns) FROM rollup_minutes WHERE minute >= {base} GROUP BY minute))"
            )
        parts.append(
            f"SELECT {rollups.COLUMNS} FROM rollups WHERE level = 'minute' AND {settled} AND (at, rolled_ns) IN ({written}) AND {matching}"
        )
    return " UNION ALL ".join(parts) if parts else f"SELECT {rollups.COLUMNS} FROM rollups WHERE 0"


_SUMS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_HAS_RULES = f"model_id IN (SELECT {rollups.MODEL_ID} FROM prices FINAL WHERE notEmpty(rules))"
_COST = (
    "multiIf(call = 'cached', 0, call = 'reported', reported_usd, call = 'missing', NULL, "
    + computed_cost(has_input="call IN ('both', 'input')", has_output="call IN ('both', 'output')", tokens="charged")
    + ")"
)


def _percentiles(table: str) -> str:
    digest = f"quantilesTDigestMerge({rollups.PERCENTILES})({table}.durations)"
    return ", ".join(
        f"if(sum({table}.ended) = 0, NULL, toInt64(round({digest}[{place}]))) AS p{level}_ns"
        for place, level in ((1, 50), (2, 95), (3, 99))
    )


def times(rows: Rolled, keys: dict[str, str], keep: str = "", more: str = "") -> str:
    """SELECT of the figures of spans alone: to work out what model calls cost takes most of a question's planning.

    :param more: other columns that are wanted
    """
    given = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
    return (
        f"SELECT {given}, sum(r.spans) AS spans, sumIf(r.spans, r.status = 'error') AS errors, {_percentiles('r')}{more and f', {more}'} "
        f"FROM {rows.table} AS r {keep} GROUP BY {', '.join(keys)}"
    )


def figures(rows: Rolled, keys: dict[str, str], keep: str = "") -> str:
    """SELECT of all figures of spans and of the model calls among them, by these keys.

    :param keys: name -> SQL over LABELS and ``at``, the minute since 1970, of the table ``r``
    :param keep: WHERE clause over the keys
    """
    given = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
    names = ", ".join(keys)
    by_price = (
        f"SELECT {given}, model_id, call, above, if({_HAS_RULES}, at, 0) AS priced_at, sum(r.spans) AS spans, "
        "sumIf(r.spans, status = 'error') AS errors, sum(r.ended) AS ended, "
        f"quantilesTDigestMergeState({rollups.PERCENTILES})(r.durations) AS durations, sum(r.with_usage) AS with_usage, "
        f"{', '.join(f'sum(r.{name}) AS {name}' for name in _SUMS)}, sumForEach(r.charged) AS charged, sum(r.reported_usd) AS reported_usd "
        f"FROM {rows.table} AS r {keep} GROUP BY {names}, model_id, call, above, priced_at"
    )
    prices = f"SELECT {rollups.MODEL_ID} AS model_id, if(response_model != '', response_model, request_model) AS called, flat, rules FROM prices FINAL"
    usd = usd_per_million(start_s="(toUInt64(priced_at) * 60)", input_tokens="(above + 1)")
    # One step inside the other, for the engine writes out an alias wherever it stands.
    per_million = f"SELECT *, {usd} AS usd_per_million FROM ({by_price}) AS b LEFT ANY JOIN ({prices}) AS p USING (model_id)"
    priced = f"SELECT *, call IN {rollups.CHARGED} AND isNull(cost) AS is_unpriced FROM (SELECT *, {_COST} AS cost FROM ({per_million}))"
    return (
        f"SELECT {names}, sum(p.spans) AS spans, sum(p.errors) AS errors, {_percentiles('p')}, sumIf(p.spans, call != 'none') AS model_calls, "
        "model_calls AS calls, sum(with_usage) AS calls_with_usage, "
        f"{', '.join(f'sum(p.{name}) AS {name}' for name in _SUMS)}, "
        "sum(ifNull(cost, 0)) AS partial_cost_usd, if(countIf(call != 'none' AND isNull(cost)) > 0, NULL, partial_cost_usd) AS cost_usd, "
        "sumIf(ifNull(cost, 0), call = 'reported') AS reported_usd, "
        f"sumIf(ifNull(cost, 0), call IN {rollups.CHARGED}) AS computed_usd, sumIf(p.spans, is_unpriced) AS unpriced_calls, "
        "arraySort(groupUniqArrayIf(called, is_unpriced)) AS unpriced_models "
        f"FROM ({priced}) AS p GROUP BY {names}"
    )
