"""Figures of the catalogue's metrics as they add up: the same in a process that records and in the server that reads its records."""

from __future__ import annotations

import math
import threading
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from clew.model.catalogue import own
from clew.model.catalogue.metric import OTHER, Metric

Labels = tuple[str, ...]
"""Values, in the order of the metric's labels."""

STEPS: Final = 32
"""Slots of a summary between a figure and its double: a quantile is right to one part in 45."""
LEAST_SLOT: Final = -(1 << 15)
"""Slot of a summary for what is 0 or less."""


class Exemplar(NamedTuple):
    """One figure and the trace it comes from."""

    trace_id: str
    value: float
    time_ns: int


class Series:
    """The figures of one metric under one set of labels.

    :ivar value: of a counter or gauge; the sum of a histogram or summary
    :ivar slots: slot -> how many figures are in it; empty for counters and gauges
    :ivar exemplars: slot -> the latest; a counter's is in slot 0
    """

    __slots__ = ("exemplars", "slots", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.slots: dict[int, int] = {}
        self.exemplars: dict[int, Exemplar] = {}

    @property
    def count(self) -> int:
        return sum(self.slots.values())

    def quantile(self, share: float) -> float:
        """Of a summary; NaN without figures."""
        wanted = share * self.count
        seen = 0
        for slot in sorted(self.slots):
            seen += self.slots[slot]
            if seen >= wanted and seen:
                return 0.0 if slot == LEAST_SLOT else 2 ** ((slot - 0.5) / STEPS)
        return math.nan


def slot_of(metric: Metric, value: float) -> int:
    """Where a histogram or summary counts a figure: the number of the first bucket that holds it, or a step of a logarithmic scale."""
    if metric.type == "histogram":
        return bisect_left(metric.buckets, value)
    return math.ceil(math.log2(value) * STEPS) if value > 0 else LEAST_SLOT


class Figures:
    """Adds up figures. Safe to use from several threads. Bounded: by the closed sets of labels and by the number of values of open ones."""

    def __init__(self) -> None:
        self._series: dict[str, tuple[Metric, dict[Labels, Series]]] = {}
        self._known: dict[tuple[str, str], set[str]] = {}
        self.renew()

    def add(self, metric: Metric, labels: Labels, value: float, exemplar: Exemplar | None = None) -> None:
        """A counter grows by ``value``, a gauge changes by it, a histogram or summary has one more figure."""
        with self._lock:
            series = self._bounded(metric, labels)
            series.value += value
            slot = 0
            if metric.buckets or metric.quantiles:
                slot = slot_of(metric, value)
                series.slots[slot] = series.slots.get(slot, 0) + 1
            if exemplar is not None:
                series.exemplars[slot] = exemplar

    def set(self, metric: Metric, labels: Labels, value: float) -> None:
        """A gauge is at ``value``."""
        with self._lock:
            self._bounded(metric, labels).value = value

    def merge(
        self, metric: Metric, labels: Labels, value: float, slots: Mapping[int, int], exemplars: Mapping[int, Exemplar] | None = None
    ) -> Labels:
        """Adds what was added up elsewhere; gives the labels it was counted under."""
        with self._lock:
            series = self._bounded(metric, labels)
            series.value += value
            for slot, count in slots.items():
                series.slots[slot] = series.slots.get(slot, 0) + count
            series.exemplars.update(exemplars or {})
            return self._admitted(metric, labels)

    def get(self, metric: Metric, labels: Labels) -> Series | None:
        with self._lock:
            return self._series.get(metric.name, (metric, {}))[1].get(self._admitted(metric, labels))

    def taken(self) -> Figures:
        """All figures, of which none stays here."""
        taken = Figures()
        with self._lock:
            taken._series, self._series = self._series, {}
            taken._known, self._known = self._known, {}
        return taken

    def renew(self) -> None:
        """From nothing, whoever holds the lock: in a forked child nobody does."""
        self._lock = threading.Lock()
        self._series.clear()
        self._known.clear()

    def __iter__(self) -> Iterator[tuple[Metric, list[tuple[Labels, Series]]]]:
        """Every metric that has figures, with copies of them."""
        with self._lock:
            return iter([(metric, [(labels, _copy(one)) for labels, one in found.items()]) for metric, found in self._series.values()])

    def _bounded(self, metric: Metric, labels: Labels) -> Series:
        """The series to count under, made if need be; what is beyond the bounds of a label is counted as overflow."""
        found = self._series.get(metric.name)
        if found is None:
            found = self._series[metric.name] = (metric, {})
        series = found[1].get(labels)
        if series is None:
            admitted = self._admitted(metric, labels, new=True)
            series = found[1].get(admitted)
            if series is None:
                series = found[1][admitted] = Series()
        return series

    def _admitted(self, metric: Metric, labels: Labels, *, new: bool = False) -> Labels:
        return tuple([self._value(metric, at, value, new) for at, value in enumerate(labels)])

    def _value(self, metric: Metric, at: int, value: str, new: bool) -> str:
        label = metric.labels[at]
        if label.values:
            admitted = value in label.values or value == label.default
        else:
            known = self._known.setdefault((metric.name, label.name), set())
            admitted = value in known or value == OTHER or len(known) < label.most
            if admitted and new and value != OTHER:
                known.add(value)
        if admitted:
            return value
        if new and metric is not own.OVERFLOW:
            self._bounded(own.OVERFLOW, (metric.name, label.name)).value += 1
        return OTHER


def _copy(series: Series) -> Series:
    made = Series()
    made.value, made.slots, made.exemplars = series.value, dict(series.slots), dict(series.exemplars)
    return made


Reading = Iterable[tuple[Metric, Iterable[tuple[Labels, Series]]]]
"""Figures to be shown: each metric with its series."""
