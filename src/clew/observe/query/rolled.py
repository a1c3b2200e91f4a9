"""Figures from rollups: settled minutes from their rows, the others from spans, summed up alike."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple, get_args

from clew.model.kinds import KINDS
from clew.observe.query.filter import And, Node, Not, Or, Term, all_of, parse
from clew.observe.query.filter_sql import Field, compile, no_attribute, no_text, times_of
from clew.observe.query.window import FOREVER, Window, is_exact, is_time, window
from clew.observe.store import rollups
from clew.observe.store.pricing import computed_cost, usd_per_million
from clew.observe.store.rollups import LABELS, MINUTE_NS, Range
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


class _Part(NamedTuple):
    """Some of the rows: SQL of the minute, and what follows FROM."""

    at: str
    source: str


@dataclass(frozen=True, slots=True)
class Rolled:
    """Rows like those of rollups, for all spans that match a filter, and the parameters in them."""

    parts: tuple[_Part, ...]
    by: tuple[str, ...]
    """The labels they have."""
    parameters: dict[str, Any]
    within: Window

    def table(self, *figures: str) -> str:
        """For FROM: the minute ``at``, the labels, and these columns. What takes the engine longest is to plan columns that nobody reads."""
        columns = ", ".join(dict.fromkeys((*self.by, *figures)))
        parts = self.parts or (_Part("at", "rollups WHERE 0"),)
        return f"({' UNION ALL '.join(f'SELECT {part.at} AS at, {columns} FROM {part.source}' for part in parts)})"


def rolled(store: Store, text: str, now: datetime, *, by: Sequence[str] = (), bucket_ns: int = HOUR_NS) -> Rolled | None:
    """None when rollups cannot answer: the store has none, or the filter asks for more than labels and a time.

    :param by: the labels that are asked for
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
    return Rolled(tuple(_parts(store, within, matching.sql, level)), tuple(by), matching.parameters, within)


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
    odd = (
        "SELECT count() FROM prices FINAL WHERE "
        f"arrayExists(r -> (r.1 > 0 AND r.1 % {seconds} != 0) OR r.2 % {seconds} != 0 OR r.3 % {seconds} != 0 "
        f"OR arrayExists(c -> arrayExists(t -> t.1 NOT IN (0, {', '.join(map(str, rollups.TIERS))}), c), r.4), rules)"
    )
    return store.remembered(odd, lambda: bool(store.value(odd)))


def _parts(store: Store, within: Window, matching: str, level: str | None) -> Iterator[_Part]:
    """Hours where they are written, minutes where these are, and spans for the rest."""
    first, last = max(within.first_ns, 0), within.last_ns
    whole = Range(-(-first // MINUTE_NS), (last + 1) // MINUTE_NS - (last != FOREVER))
    if whole.first > whole.last:
        yield _of_spans([f"start_ns BETWEEN {first} AND {last}"], matching)
        return
    if own := [
        f"start_ns BETWEEN {since} AND {until}"
        for since, until in ((first, whole.first * MINUTE_NS - 1), ((whole.last + 1) * MINUTE_NS, last))
        if since <= until
    ]:
        yield _of_spans(own, matching)
    unsettled = rollups.ranges(rollups.stale(store, *whole))
    if unsettled:
        yield _Part("at", f"({store.unrolled.rows(store, unsettled)}) WHERE {matching}")
    hours = Range(-(-whole.first // 60), (whole.last + 1) // 60 - 1)
    written: list[Range] = []
    if level is not None and hours.first <= hours.last:
        affected = {hour for one in unsettled for hour in range(one.first // 60, one.last // 60 + 1)}
        written = hours.without(rollups.ranges({*rollups.stale_hours(store, *hours), *affected}))
        if written:
            base = rollups.HOURS
            numbered = [Range(base + one.first, base + one.last) for one in written]
            yield _Part(f"toUInt32((at - {base}) * 60)", f"(SELECT * FROM rollups WHERE {_latest(level, numbered)} AND {matching})")
    if minutes := whole.without(sorted([*unsettled, *(Range(one.first * 60, one.last * 60 + 59) for one in written)])):
        yield _Part("at", f"rollups WHERE {_latest('minute', minutes)} AND {matching}")


def _of_spans(conditions: Sequence[str], matching: str) -> _Part:
    return _Part("at", f"({rollups.of_spans(rollups.any_of(conditions))}) WHERE {matching}")


def _latest(level: str, stretches: Sequence[Range]) -> str:
    """The condition on rows of a level in these stretches, as they were last written."""
    written = f"SELECT minute, max(rolled_ns) FROM rollup_minutes WHERE minute BETWEEN {stretches[0].first} AND {stretches[-1].last} GROUP BY minute"
    return f"level = '{level}' AND {rollups.any_of([one.rows() for one in stretches])} AND (at, rolled_ns) IN ({written})"


_SUMS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "reasoning_tokens")
_COST = (
    "multiIf(call = 'cached', 0, call = 'reported', reported_usd, call = 'missing', NULL, "
    + computed_cost(has_input="call IN ('both', 'input')", has_output="call IN ('both', 'output')", tokens="charged")
    + ")"
)
_IS_UNPRICED = f"call IN {rollups.CHARGED} AND isNull(cost)"
_SPENT = (
    ", sumIf(r.spans, call != 'none') AS model_calls, model_calls AS calls, sum(with_usage) AS calls_with_usage, "
    f"{', '.join(f'sum(r.{name}) AS {name}' for name in _SUMS)}, "
    "sum(ifNull(cost, 0)) AS partial_cost_usd, if(countIf(call != 'none' AND isNull(cost)) > 0, NULL, partial_cost_usd) AS cost_usd, "
    f"sumIf(ifNull(cost, 0), call = 'reported') AS reported_usd, sumIf(ifNull(cost, 0), call IN {rollups.CHARGED}) AS computed_usd, "
    f"sumIf(r.spans, {_IS_UNPRICED}) AS unpriced_calls, arraySort(groupUniqArrayIf(called, {_IS_UNPRICED})) AS unpriced_models"
)
_PRICES = f"SELECT {rollups.MODEL_ID} AS model_id, if(response_model != '', response_model, request_model) AS called, flat, rules FROM prices FINAL"


Part = Literal["times", "calls"]
"""Figures that take long to work out: percentiles of how long spans took, and tokens and cost of the model calls among them."""
PARTS: Final[frozenset[Part]] = frozenset(get_args(Part))


def _percentiles(table: str) -> str:
    digest = f"quantilesTDigestMerge({rollups.PERCENTILES})({table}.durations)"
    return "".join(
        f", if(sum({table}.ended) = 0, NULL, toInt64(round({digest}[{place}]))) AS p{level}_ns"
        for place, level in ((1, 50), (2, 95), (3, 99))
    )


def figures(rows: Rolled, keys: dict[str, str], keep: str = "", *, parts: Collection[Part] = PARTS, with_total: bool = False) -> str:
    """SELECT of figures of spans by these keys: ``spans``, ``errors``, and the parts that are wanted.

    :param keys: name -> SQL over the labels of the rows and ``at``, the minute since 1970, of the table ``r``
    :param keep: WHERE clause over the keys
    :param with_total: a row for all together too; ``is_total`` tells it from the others
    """
    given = ", ".join(f"{sql} AS {name}" for name, sql in keys.items())
    names = ", ".join(keys)
    own = ("status", "spans", *(("ended", "durations") if "times" in parts else ()))
    if "calls" in parts:
        own = (*own, "call", "with_usage", *_SUMS, "charged", "reported_usd")
        usd = usd_per_million(start_s="(toUInt64(r.at) * 60)", input_tokens="(above + 1)")
        # One step inside the other, for the engine writes out an alias wherever it stands.
        per_million = (
            f"SELECT {given}, {', '.join(f'r.{name} AS {name}' for name in own)}, called, {usd} AS usd_per_million "
            f"FROM {rows.table('model_id', 'above', *own)} AS r LEFT ANY JOIN ({_PRICES}) AS p USING (model_id) {keep}"
        )
        table, keep, given = f"(SELECT *, {_COST} AS cost FROM ({per_million}))", "", names
    else:
        table = rows.table(*own)
    return (
        f"SELECT {given}, sum(r.spans) AS spans, sumIf(r.spans, r.status = 'error') AS errors"
        f"{_percentiles('r') if 'times' in parts else ''}{_SPENT if 'calls' in parts else ''}"
        f"{f', grouping({names}) > 0 AS is_total' if with_total else ''} "
        f"FROM {table} AS r {keep} GROUP BY {f'GROUPING SETS (({names}), ())' if with_total else names}"
    )
