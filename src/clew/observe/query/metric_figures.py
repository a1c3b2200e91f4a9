"""One metric of the catalogue over a time: what spans give of it, and what was measured, by labels and buckets of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final

from clew.errors import QueryError
from clew.model.catalogue import BY_NAME
from clew.model.catalogue.figures import LEAST_SLOT, STEPS
from clew.model.catalogue.metric import Metric
from clew.observe.query.filter import parse
from clew.observe.query.search import condition_of
from clew.observe.query.window import SPANS_WITHIN, TRACES_WITHIN, window
from clew.observe.store.figures_sql import giving, of_metric
from clew.observe.store.store import Store

LEVELS: Final = (50, 95, 99)
MOST_ROWS: Final = 20_000


@dataclass(slots=True)
class Reading:
    """Figures of a metric that share labels and a bucket of time."""

    labels: tuple[str, ...]
    """Values of the labels that were asked by, in that order."""
    start_ns: int
    """Start of the bucket; 0 when there are no buckets."""
    count: int = 0
    sum: float = 0.0
    """Of a counter: by how much it grew. Of a gauge: what was said last, all processes together."""
    slots: dict[int, int] = field(default_factory=dict)
    """Of a histogram: number of the bucket -> how many figures it holds; the number beyond the last is that of larger ones."""
    percentiles: dict[int, float] = field(default_factory=dict)
    """Level -> it, exact; empty where measured points are among the figures, of which only their buckets are known."""

    def percentile(self, metric: Metric, level: int) -> float | None:
        """None without figures; from the buckets where it is not known exactly: then it lies somewhere in its bucket."""
        if level in self.percentiles or not self.slots:
            return self.percentiles.get(level)
        wanted, seen = level / 100 * sum(self.slots.values()), 0
        for slot in sorted(self.slots):
            seen += self.slots[slot]
            if seen >= wanted:
                return _within(metric, slot, 1 - (seen - wanted) / self.slots[slot])
        return None


def _within(metric: Metric, slot: int, share: float) -> float:
    if metric.type == "summary":
        return 0.0 if slot == LEAST_SLOT else float(2 ** ((slot - 0.5) / STEPS))
    low = metric.buckets[slot - 1] if 0 < slot <= len(metric.buckets) else 0.0
    return low + (metric.buckets[slot] - low) * share if slot < len(metric.buckets) else low


@dataclass(frozen=True, slots=True)
class Readings:
    """A metric's figures, in the order of time."""

    metric: str
    rows: list[Reading]
    has_measured: bool
    """Whether measured points are among them: a filter but its time does not apply to these."""
    more: bool
    """Whether there are more than MOST_ROWS."""


def metric_figures(
    store: Store,
    name: str,
    *,
    by: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    filter: str = "",
    bucket_ns: int | None = None,
) -> Readings:
    """What a metric came to over the time of a filter.

    :param by: labels; rows are of all the others together
    :param where: label -> the value that it must have
    :param bucket_ns: length of a bucket; None: no buckets
    :raises QueryError: the catalogue has no such metric or label, or a label never has that value
    :raises FilterError: the filter does not parse; points at the character
    """
    for mistake in mistakes(name, by, where or {}):
        raise QueryError(mistake)
    metric, now = BY_NAME[name], datetime.now(UTC)
    given: dict[str, Any] = {**window(parse(filter), now).parameters, "by": [metric.label_names.index(label) + 1 for label in by]}
    if bucket_ns is not None:
        given["bucket"] = bucket_ns
    where_labels = " AND ".join(
        ["1", *(f"labels[{metric.label_names.index(label) + 1}] = {_place(given, value)}" for label, value in (where or {}).items())]
    )
    if metric.type == "gauge":
        return _gauges(store, metric, where_labels, given)
    found: dict[tuple[tuple[str, ...], int], Reading] = {}
    condition = condition_of(store, filter, now=now)
    within = f"{SPANS_WITHIN} AND {condition.sql}"
    derived = of_metric(metric, within, TRACES_WITHIN)
    if derived is not None and store.query(giving(metric, within), {**condition.parameters, **given}).result_rows:
        levels = ", ".join(str(level / 100) for level in LEVELS)
        rows = store.query(
            f"SELECT arrayMap(i -> labels[i], {{by:Array(UInt8)}}) AS key, {_at('start_ns', bucket_ns)} AS at, count(), sum(value), "
            f"quantilesExact({levels})(value), sumMap([slot], [toUInt64(1)]) FROM ({derived}) WHERE {where_labels} "
            f"GROUP BY key, at ORDER BY at, key LIMIT {MOST_ROWS + 1}",
            {**condition.parameters, **given},
        ).result_rows
        for key, at, count, total, percentiles, (slots, counts) in rows:
            reading = Reading(tuple(key), at, count, total)
            if metric.type != "counter":
                reading.slots = dict(zip(slots, counts, strict=True))
                reading.percentiles = dict(zip(LEVELS, percentiles, strict=True))
            found[reading.labels, at] = reading
    has_measured = _add_measured(store, metric, where_labels, given, bucket_ns, found)
    ordered = sorted(found.values(), key=lambda reading: (reading.start_ns, reading.labels))
    return Readings(name, ordered[:MOST_ROWS], has_measured, len(ordered) > MOST_ROWS)


def _place(given: dict[str, Any], value: str) -> str:
    name = f"label{len(given)}"
    given[name] = value
    return f"{{{name}:String}}"


def _at(column: str, bucket_ns: int | None) -> str:
    return "toInt64(0)" if bucket_ns is None else f"toInt64(intDiv(toUInt64({column}), {{bucket:UInt64}}) * {{bucket:UInt64}})"


def _points(metric: Metric) -> str:
    """FROM: the points of a metric in the window, with its labels as the catalogue orders them."""
    labels = ", ".join(f"attributes['{name}']" for name in metric.label_names)
    names = ", ".join(f"'{name}'" for name in dict.fromkeys([metric.name, metric.otel or metric.name]))
    return (
        f"(SELECT *, {f'[{labels}]' if labels else 'emptyArrayString()'} AS labels FROM point_records FINAL WHERE name IN ({names}) "
        "AND time_ns BETWEEN {window_first:Int64} AND {window_last:Int64})"
    )


def _add_measured(
    store: Store,
    metric: Metric,
    where: str,
    given: Mapping[str, Any],
    bucket_ns: int | None,
    found: dict[tuple[tuple[str, ...], int], Reading],
) -> bool:
    """Adds what calls of ``clew.metric`` measured, and other programs under the same name."""
    ours = " AND scope_name = 'clew'" if metric.derived else ""  # elsewhere spans give the figure already
    rows = store.query(
        f"SELECT arrayMap(i -> labels[i], {{by:Array(UInt8)}}) AS key, {_at('time_ns', bucket_ns)} AS at, sum(ifNull(value, toFloat64(int_value))), "
        "sum(sum), sumForEach(counts), sum(count), sumMap(arrayMap(n -> toInt32(n + positive_offset), arrayEnumerate(positive_counts)), positive_counts), sum(zero_count), any(length(bounds)) "
        f"FROM {_points(metric)} WHERE temporality = 'delta'{ours} AND {where} GROUP BY key, at ORDER BY at, key LIMIT {MOST_ROWS + 1}",
        given,
    ).result_rows
    for key, at, value, total, counts, count, (slots, scaled), zeros, bounds in rows:
        reading = found.setdefault((tuple(key), at), Reading(tuple(key), at))
        reading.percentiles = {}
        if metric.type == "counter":
            reading.sum += value or 0.0
            continue
        reading.count += count or 0
        reading.sum += total or 0.0
        spread = zip(slots, scaled, strict=True) if metric.type == "summary" else enumerate(counts) if bounds == len(metric.buckets) else ()
        for slot, number in [*spread, *([(LEAST_SLOT, zeros)] if zeros else [])]:
            if number:
                reading.slots[slot] = reading.slots.get(slot, 0) + number
    return bool(rows)


def _gauges(store: Store, metric: Metric, where: str, given: dict[str, Any]) -> Readings:
    """What each process said last in each bucket, put together as the catalogue says."""
    bucket_ns = given.get("bucket")
    last = (
        f"SELECT labels, process, {_at('time_ns', bucket_ns)} AS at, argMax(ifNull(value, toFloat64(int_value)), (time_ns, arrival_ns)) AS last, "
        f"max(time_ns) AS said FROM {_points(metric)} WHERE kind = 'gauge' AND {where} GROUP BY labels, process, at"
    )
    if metric.across == "last":
        last = f"SELECT labels, at, argMax(last, said) AS last FROM ({last}) GROUP BY labels, at"
    rows = store.query(
        f"SELECT arrayMap(i -> labels[i], {{by:Array(UInt8)}}) AS key, at, sum(last) FROM ({last}) GROUP BY key, at ORDER BY at, key LIMIT {MOST_ROWS + 1}",
        given,
    ).result_rows
    return Readings(
        metric.name, [Reading(tuple(key), at, 1, value) for key, at, value in rows[:MOST_ROWS]], bool(rows), len(rows) > MOST_ROWS
    )


def mistakes(name: str, by: Iterable[str], where: Mapping[str, str]) -> Iterable[str]:
    """What a question names that the catalogue does not have."""
    metric = BY_NAME.get(name)
    if metric is None:
        near = get_close_matches(name, BY_NAME, 1)
        yield f"the catalogue has no metric {name!r}{f'; did you mean {near[0]}?' if near else '; docs/metrics.md lists them'}"
        return
    labels = {label.name: label for label in metric.labels}
    for one in [*by, *where]:
        if one not in labels:
            yield f"{name} has no label {one!r}; it has {', '.join(labels) or 'none'}"
    for one, value in where.items():
        if one in labels and labels[one].values and value not in (*labels[one].values, labels[one].default):
            yield f"{name} has no {one}={value!r}; it has {', '.join(labels[one].values)}"
