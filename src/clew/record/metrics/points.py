"""Measured points on their way to the spool: what calls gave since the last write, added up, as OTLP metrics of delta temporality."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final

from clew.model.catalogue.figures import LEAST_SLOT, STEPS, Exemplar, Figures, Labels, Series
from clew.model.catalogue.metric import Metric
from clew.wire import otlp_json

if TYPE_CHECKING:
    from clew.record.writer import Sink

_DELTA: Final = 1
_SCALE: Final = STEPS.bit_length() - 1
"""OTLP's exponential histogram of this scale has as many buckets to a doubling as a summary has slots."""


class Points:
    """The points of one recorder. A series has one point per write, however often it is called: bounded like the catalogue's labels."""

    def __init__(self, wall_ns: int) -> None:
        self._lock = threading.Lock()
        self._since_ns = wall_ns
        self._deltas = Figures()
        self._gauges = Figures()
        self._moved: dict[tuple[str, Labels], Metric] = {}

    def note(self, metric: Metric, labels: Labels, how: str, value: float, exemplar: Exemplar | None) -> None:
        with self._lock:
            if metric.type != "gauge":
                self._deltas.add(metric, labels, value, exemplar)
                return
            if how == "set":
                self._gauges.set(metric, labels, value)
            else:
                self._gauges.add(metric, labels, value)
            self._moved[metric.name, labels] = metric

    def write(self, sinks: Iterable[Sink], resource: str, now_ns: int) -> None:
        """Hands one line to the sinks. What the first of them refuses waits for the next time; deltas add up meanwhile."""
        with self._lock:
            moved, self._moved = self._moved, {}
            deltas, self._deltas = self._deltas, Figures()
            now_ns = max(now_ns, self._since_ns + 1)
            metrics = [_metric(metric, found, self._since_ns, now_ns) for metric, found in deltas]
            gauges = [(metric, labels, self._gauges.get(metric, labels)) for (_, labels), metric in moved.items()]
            metrics += [_gauge(metric, labels, series, now_ns) for metric, labels, series in gauges if series is not None]
            if not metrics:
                return
            scoped = f'{{{otlp_json.scope("clew")},"metrics":{json.dumps(metrics, separators=(",", ":"))}}}'
            line = otlp_json.line(f'{{"resourceMetrics":[{{"resource":{resource},"scopeMetrics":[{scoped}]}}]}}\n')
            refused = [sink.write(line, 0, starts=False) for sink in sinks][:1]
            if refused and refused[0] is not None:
                for metric, found in deltas:
                    for labels, series in found:
                        self._deltas.merge(metric, labels, series.value, series.slots, series.exemplars)
                self._moved = {**moved, **self._moved}
            else:
                self._since_ns = now_ns


def _metric(metric: Metric, found: Iterable[tuple[Labels, Series]], since_ns: int, now_ns: int) -> dict[str, Any]:
    points = [{**_times(since_ns, now_ns), **_labels(metric, labels), **_figures(metric, series)} for labels, series in found]
    if metric.type == "counter":
        return {**_named(metric), "sum": {"aggregationTemporality": _DELTA, "isMonotonic": True, "dataPoints": points}}
    kind = "histogram" if metric.type == "histogram" else "exponentialHistogram"
    return {**_named(metric), kind: {"aggregationTemporality": _DELTA, "dataPoints": points}}


def _gauge(metric: Metric, labels: Labels, series: Series, now_ns: int) -> dict[str, Any]:
    point = {"timeUnixNano": str(now_ns), **_labels(metric, labels), "asDouble": series.value}
    return {**_named(metric), "gauge": {"dataPoints": [point]}}


def _named(metric: Metric) -> dict[str, Any]:
    return {"name": metric.otel or metric.name, "unit": metric.unit}


def _times(since_ns: int, now_ns: int) -> dict[str, str]:
    return {"startTimeUnixNano": str(since_ns), "timeUnixNano": str(now_ns)}


def _labels(metric: Metric, labels: Labels) -> dict[str, Any]:
    pairs = zip(metric.label_names, labels, strict=True)
    return {"attributes": [{"key": name, "value": {"stringValue": value}} for name, value in pairs]}


def _figures(metric: Metric, series: Series) -> dict[str, Any]:
    shown: dict[str, Any] = _exemplars(series.exemplars)
    if metric.type == "counter":
        return {**shown, "asDouble": series.value}
    shown |= {"count": str(series.count), "sum": series.value}
    if metric.type == "histogram":
        counts = [str(series.slots.get(slot, 0)) for slot in range(len(metric.buckets) + 1)]
        return {**shown, "explicitBounds": list(metric.buckets), "bucketCounts": counts}
    slots = [slot for slot in series.slots if slot != LEAST_SLOT]
    shown |= {"scale": _SCALE, "zeroCount": str(series.slots.get(LEAST_SLOT, 0))}
    if slots:  # OTLP's bucket n holds what is above base ** n, a slot n what is at most base ** n
        counts = [str(series.slots.get(slot, 0)) for slot in range(min(slots), max(slots) + 1)]
        shown["positive"] = {"offset": min(slots) - 1, "bucketCounts": counts}
    return shown


def _exemplars(exemplars: Mapping[int, Exemplar]) -> dict[str, Any]:
    if not exemplars:
        return {}
    return {"exemplars": [{"timeUnixNano": str(one.time_ns), "asDouble": one.value, "traceId": one.trace_id} for one in exemplars.values()]}
