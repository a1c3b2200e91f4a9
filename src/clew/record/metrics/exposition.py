"""Figures as prometheus_client shows them. Needs prometheus_client; nothing else in this package does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client import Metric as Family
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, SummaryMetricFamily
from prometheus_client.samples import Exemplar as Shown
from prometheus_client.utils import floatToGoString as _go

from clew.model.catalogue.figures import Exemplar, Labels, Reading, Series
from clew.model.catalogue.metric import Metric


class Collector:
    """A collector for any registry of prometheus_client, and for any number of them.

    :param reading: gives the figures, whenever they are asked for
    """

    def __init__(self, reading: Callable[[], Reading]) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Family]:
        return families(self._reading())

    def describe(self) -> Iterable[Family]:
        """No names: a registry then has no ground to refuse a second collector."""
        return ()


def families(reading: Reading) -> Iterator[Family]:
    """Figures in the form of prometheus_client, by name."""
    for metric, found in sorted(reading, key=lambda each: each[0].name):
        yield _FAMILIES[metric.type](metric, found)


def _counter(metric: Metric, found: Iterable[tuple[Labels, Series]]) -> Family:
    family = CounterMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, series in found:
        family.add_metric(labels, series.value, exemplar=_shown(series.exemplars.get(0)))
    return family


def _gauge(metric: Metric, found: Iterable[tuple[Labels, Series]]) -> Family:
    family = GaugeMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, series in found:
        family.add_metric(labels, series.value)
    return family


def _histogram(metric: Metric, found: Iterable[tuple[Labels, Series]]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, series in found:
        buckets: list[Any] = []
        below = 0
        for slot, bound in enumerate((*metric.buckets, float("inf"))):
            below += series.slots.get(slot, 0)
            buckets.append((_text(bound), below, _shown(series.exemplars.get(slot))))
        family.add_metric(labels, buckets, series.value)
    return family


def _summary(metric: Metric, found: Iterable[tuple[Labels, Series]]) -> Family:
    family = SummaryMetricFamily(metric.name, metric.help, labels=metric.label_names)
    for labels, series in found:
        named = dict(zip(metric.label_names, labels, strict=True))
        for share in metric.quantiles:
            family.add_sample(metric.name, {**named, "quantile": _text(share)}, series.quantile(share))
        family.add_metric(labels, series.count, series.value)
    return family


_FAMILIES = {"counter": _counter, "gauge": _gauge, "histogram": _histogram, "summary": _summary}


def _shown(exemplar: Exemplar | None) -> Shown | None:
    return None if exemplar is None else Shown({"trace_id": exemplar.trace_id}, exemplar.value, exemplar.time_ns / 1e9)


def _text(number: float) -> str:
    """As Prometheus writes it: 1e+06."""
    return str(_go(number))  # type: ignore[no-untyped-call]
