"""Metrics of everything that was ever stored: counters that only grow, each span and point in them once.

A turn of counting takes the spans of the traces that were touched, and the points that came in, leaves out those that were counted, notes
the rest as counted, and then writes the totals. Both carry the number of the turn: where a process died between the two, the next one counts
the noted spans of that turn again, before anything else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from clew.model.catalogue import BY_NAME, CATALOGUE
from clew.model.catalogue.figures import LEAST_SLOT, Exemplar, Figures, Labels, Series, slot_of
from clew.model.catalogue.metric import MODEL_CALL, Metric
from clew.model.catalogue.own import CORRECTIONS
from clew.observe.store.figures_sql import COUNTABLE, DERIVED, SPAN, counted, kinds
from clew.observe.store.prices import refresh_prices

if TYPE_CHECKING:
    from clew.observe.store.store import Store

TABLES: Final = "totals"
"""Word in the names of the files of the tables, which are made when metrics are first asked for (schema.ON_DEMAND)."""
CHUNK: Final = 2_000_000
"""Most spans that are counted at once when the totals are begun."""
OUR_SCOPE: Final = "clew"
_BEGUN: Final = "begun"

_BY_OTEL: Final = {metric.otel: metric for metric in CATALOGUE if metric.otel}
_POINT: Final = "sipHash64(name, series), sipHash64(name, series, time_ns, start_ns)"
_CORRECTION: Final = "sipHash64(trace_id), sipHash64(trace_id, span_id, replaced_hash)"
_COLUMNS: Final = (
    *("metric", "labels", "turn", "value", "slots", "counts"),
    *("exemplar_slots", "exemplar_traces", "exemplar_values", "exemplar_times"),
)


class Totals:
    """The totals of an open store. What counts is called while ``store.ingesting`` is held; reading is not bound to anything."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._figures = Figures()
        self._grown: dict[tuple[str, Labels], Metric] = {}
        self._turn = 0
        self.is_begun = False
        """Whether what was stored before the tables were made has been counted."""
        self._load()

    def __iter__(self) -> Iterator[tuple[Metric, list[tuple[Labels, Series]]]]:
        return iter(self._figures)

    def count_spans(self, where: str, settled: str) -> None:
        """Counts the ended spans that match and were not counted; and corrections of their traces.

        :param where: a condition on span_records; :param settled: the same on tables that have only the trace's id
        """
        known = f"(SELECT trace, span FROM counted_totals WHERE trace IN (SELECT sipHash64(trace_id) FROM span_records WHERE {where}))"
        new = f"{where} AND ({SPAN}) NOT IN {known}"
        found = frozenset([kind for (kind,) in self._store.query(kinds(new)).result_rows])
        if MODEL_CALL in found:
            refresh_prices(self._store)
        if found:
            self._add(counted(new, settled, found))
        corrected = f"FROM conflicts FINAL WHERE {settled} AND ({_CORRECTION}) NOT IN {known}"
        corrections = self._store.value(f"SELECT count() {corrected}")
        if corrections:
            self._grow(CORRECTIONS, (), float(corrections), {})
            self._note(f"SELECT {_CORRECTION}, {self._turn + 1}, today() {corrected}")
        if found:
            day = "toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')"
            self._note(f"SELECT {SPAN}, {self._turn + 1}, {day} FROM span_records FINAL WHERE {new} AND {COUNTABLE}")
        if found or corrections:
            self._keep()

    def count_points(self) -> None:
        """Counts the points that came in."""
        if not self._store.value("SELECT count() FROM fresh_totals"):
            return
        self._count_points("(name, series, time_ns, start_ns) IN (SELECT name, series, time_ns, start_ns FROM fresh_totals)")
        self._store.empty("fresh_totals")

    def count_all(self) -> None:
        """Counts everything that is stored and was not counted."""
        spans = self._store.value("SELECT count() FROM span_records")
        chunks = -(-spans // CHUNK)
        for chunk in range(chunks):
            some = f"cityHash64(trace_id) % {chunks} = {chunk}"
            self.count_spans(some, some)
        self._count_points("temporality = 'delta'")
        self._store.insert_rows("metric_totals", _COLUMNS, [_nameless(self._turn, [_BEGUN])])
        self.is_begun = True

    def absorb(self, figures: Figures) -> None:
        """Adds what was counted in this process, and writes it."""
        for metric, found in figures:
            for labels, series in found:
                self._grow(metric, labels, series.value, series.slots, series.exemplars)
        self._keep()

    # --- counting ---------------------------------------------------------------------------------------------------------------------

    def _add(self, select: str) -> None:
        for number, labels, slot, count, total, trace_id, value, time_ns in self._store.query(select).result_rows:
            metric = DERIVED[number][0]
            slots = {slot: count} if metric.buckets or metric.quantiles else {}
            self._grow(metric, tuple(labels), total, slots, {slot: Exemplar(trace_id, value, time_ns)})

    def _count_points(self, where: str) -> None:
        new = f"{where} AND ({_POINT}) NOT IN (SELECT trace, span FROM counted_totals WHERE trace IN (SELECT sipHash64(name, series) FROM point_records WHERE {where}))"
        self._add_points(new)
        day = "toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')"
        self._note(f"SELECT {_POINT}, {self._turn + 1}, {day} FROM point_records FINAL WHERE {new}")
        self._keep()

    def _add_points(self, where: str) -> None:
        for row in self._store.rows(
            "SELECT name, attributes, scope_name, toString(kind) AS kind, ifNull(value, toFloat64(int_value)) AS value, sum, counts, bounds, zero_count, "
            "positive_offset, positive_counts, exemplar_values, exemplar_trace_ids, exemplar_times "
            f"FROM point_records FINAL WHERE {where} AND temporality = 'delta'"
        ):
            metric = _BY_OTEL.get(row["name"]) or BY_NAME.get(row["name"])
            # Where spans give the figure already, only our own recorder knows which points are apart from them.
            if metric is None or metric.type == "gauge" or (metric.derived and row["scope_name"] != OUR_SCOPE):
                continue
            labels = tuple([row["attributes"].get(name, "") for name in metric.label_names])
            slots = _slots(metric, row)
            value = row["sum"] if slots is not None else row["value"]
            if value is not None and (slots or metric.type == "counter"):
                self._grow(metric, labels, value, slots or {}, dict(_exemplars(metric, row)))

    def _grow(
        self, metric: Metric, labels: Labels, value: float, slots: dict[int, int], exemplars: dict[int, Exemplar] | None = None
    ) -> None:
        if value > 0 or slots:
            self._grown[metric.name, self._figures.merge(metric, labels, value, slots, exemplars)] = metric

    def _note(self, select: str) -> None:
        self._store.command(f"INSERT INTO counted_totals (trace, span, turn, day) {select}")

    # --- keeping ----------------------------------------------------------------------------------------------------------------------

    def _keep(self) -> None:
        """Writes the series that grew, in one insert, and ends the turn."""
        self._turn += 1
        grown, self._grown = self._grown, {}
        overflow = BY_NAME["clew_metric_overflow_total"]
        for metric, found in self._figures:
            if metric is overflow:
                grown |= {(metric.name, labels): metric for labels, _ in found}
        rows = [_nameless(self._turn, [])]
        for (name, labels), metric in grown.items():
            series = self._figures.get(metric, labels)
            if series is not None:
                rows.append(_row(name, labels, self._turn, series))
        self._store.insert_rows("metric_totals", _COLUMNS, rows)

    def _load(self) -> None:
        for name, labels, turn, value, slots, counts, *exemplars in self._store.query(
            f"SELECT {', '.join(_COLUMNS)} FROM metric_totals FINAL"
        ).result_rows:
            self._turn = max(self._turn, turn)
            self.is_begun = self.is_begun or (not name and labels == [_BEGUN])
            metric = BY_NAME.get(name)
            if metric is not None and len(labels) == len(metric.labels):
                found = {slot: Exemplar(trace, at, ns) for slot, trace, at, ns in zip(*exemplars, strict=True)}
                self._figures.merge(metric, tuple(labels), value, dict(zip(slots, counts, strict=True)), found)
        noted = self._store.value("SELECT max(turn) FROM counted_totals")
        if noted > self._turn:
            self._count_again(self._turn)
            self._turn = noted - 1
            self._keep()

    def _count_again(self, turn: int) -> None:
        """Counts what was noted in a turn whose totals were not written."""
        noted = f"(SELECT trace, span FROM counted_totals WHERE turn > {turn})"
        self._add(counted(f"({SPAN}) IN {noted}", "1"))
        self._add_points(f"({_POINT}) IN {noted}")
        corrections = self._store.value(f"SELECT count() FROM conflicts FINAL WHERE ({_CORRECTION}) IN {noted}")
        self._grow(CORRECTIONS, (), float(corrections), {})


def _nameless(turn: int, labels: list[str]) -> tuple[Any, ...]:
    return ("", labels, turn, 0.0, [], [], [], [], [], [])


def _row(name: str, labels: Labels, turn: int, series: Series) -> tuple[Any, ...]:
    exemplars = series.exemplars
    return (
        *(name, list(labels), turn, series.value, list(series.slots), list(series.slots.values())),
        *(list(exemplars), [one.trace_id for one in exemplars.values()]),
        *([one.value for one in exemplars.values()], [one.time_ns for one in exemplars.values()]),
    )


def _slots(metric: Metric, row: dict[str, Any]) -> dict[int, int] | None:
    """How a point of a histogram or summary is spread; None of a counter; nothing where its buckets are others than the catalogue's."""
    if metric.type == "counter":
        return None
    if metric.type == "histogram":
        fits = [float(bound) for bound in row["bounds"]] == [float(bound) for bound in metric.buckets]
        return {slot: count for slot, count in enumerate(row["counts"]) if count} if fits else {}
    slots = {row["positive_offset"] + 1 + at: count for at, count in enumerate(row["positive_counts"]) if count}
    return {LEAST_SLOT: row["zero_count"], **slots} if row["zero_count"] else slots


def _exemplars(metric: Metric, row: dict[str, Any]) -> Iterable[tuple[int, Exemplar]]:
    for value, trace_id, time_ns in zip(row["exemplar_values"], row["exemplar_trace_ids"], row["exemplar_times"], strict=True):
        if trace_id:
            yield slot_of(metric, value) if metric.buckets or metric.quantiles else 0, Exemplar(trace_id, value, time_ns)


_beginning = threading.Lock()


def of(store: Store) -> Totals | None:
    """The totals of a store where metrics have been asked for; None elsewhere."""
    if store.totals is None and store.has(TABLES):
        with _beginning:
            if store.totals is None and (found := Totals(store)).is_begun:
                store.totals = found
    return store.totals


def begin(store: Store) -> Totals:
    """The totals of a store; the first time, what is stored already is counted. Waits for its turn with what takes records in."""
    if (found := of(store)) is None:
        with store.ingesting:
            if (found := of(store)) is None:
                store.make(TABLES)
                found = Totals(store)
                found.count_all()
                store.totals = found
    return found
