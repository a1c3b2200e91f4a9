"""The metrics of every process that reports, as the server shows them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from clew.model.catalogue import BY_NAME, CATALOGUE
from clew.model.catalogue.figures import Figures, Labels, Series
from clew.model.catalogue.metric import Metric
from clew.observe.store import totals
from clew.observe.store.figures_sql import DERIVED, OPEN_TRACES, active
from clew.observe.store.store import Store

HOUR_NS: Final = 3_600 * 10**9
OPEN_NS: Final = 7 * 24 * HOUR_NS
"""How long a span that does not end counts as open, give or take an hour."""

_CONNECTIONS: Final = BY_NAME["database_connections"]
_GAUGES: Final = {metric.otel or metric.name: metric for metric in CATALOGUE if metric.type == "gauge"}


def reading(store: Store, own: Figures | None = None) -> Iterator[tuple[Metric, list[tuple[Labels, Series]]]]:
    """Counters, histograms and summaries since the store was made (the first time this is asked, what is stored is counted: that may take
    a while), and gauges as they are now.

    :param own: what this process has measured itself; goes into the store's totals once it is their turn, and then begins anew
    :raises StoreError: the store cannot be read
    """
    kept = totals.begin(store)
    if own is not None and store.ingesting.acquire(timeout=0):
        try:
            kept.absorb(own.taken())
        finally:
            store.ingesting.release()
    whole = Figures()
    for figures in (kept, own or ()):
        for metric, found in figures:
            for labels, series in found:
                whole.merge(metric, labels, series.value, series.slots, series.exemplars)
    whole.set(_CONNECTIONS, ("open",), store.connections)
    yield from whole
    yield from gauges(store)


def gauges(store: Store) -> Iterator[tuple[Metric, list[tuple[Labels, Series]]]]:
    """What is open, and what processes last said. Of processes that have ended only what stands for all of them is kept."""
    now = Figures()
    since = {"since": max(time.time_ns() - OPEN_NS, 0) // HOUR_NS * HOUR_NS}
    traces = [trace for (trace,) in store.query(OPEN_TRACES, since).result_rows]
    if traces:
        for number, labels, count in store.query(active(), {**since, "traces": traces}).result_rows:
            now.add(DERIVED[number][0], tuple(labels), count)
    for name, attributes, value in store.query(_MEASURED, {"names": list(_GAUGES)}).result_rows:
        metric = _GAUGES[name]
        labels = tuple([attributes.get(label, "") for label in metric.label_names])
        if metric.across == "last":
            now.set(metric, labels, value)
        else:
            now.add(metric, labels, value)
    return iter(now)


_MEASURED: Final = f"""SELECT name, attributes, last FROM (
    SELECT name, attributes, process, argMax(ifNull(value, toFloat64(int_value)), (time_ns, arrival_ns)) AS last, max(time_ns) AS said_ns
    FROM point_records WHERE kind = 'gauge' AND name IN {{names:Array(String)}} GROUP BY name, attributes, process)
WHERE name IN ({", ".join(f"'{name}'" for name, metric in _GAUGES.items() if metric.across == "last")}) OR process NOT IN (SELECT process FROM processes)
ORDER BY said_ns"""
"""What each process last said, that said last at the end."""
