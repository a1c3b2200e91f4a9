"""What code calls to measure: ``metric("git_merge_queue_depth").set(3)``, with the methods of prometheus_client's instruments."""

from __future__ import annotations

import functools
from difflib import get_close_matches
from typing import Any, Literal

from clew.errors import MetricError
from clew.model.catalogue import BY_NAME
from clew.model.catalogue.figures import Exemplar, Labels
from clew.model.catalogue.metric import OTHER, Metric
from clew.record import state
from clew.record.guard import fault
from clew.record.metrics import inside, live

How = Literal["add", "set"]
_METHODS = {"counter": ("inc",), "gauge": ("set", "inc", "dec"), "histogram": ("observe",), "summary": ("observe",)}


@functools.cache
def metric(name: str) -> Measure:
    """The metric of the catalogue that has this name; ``clew metrics list`` shows them all.

    What its methods are given is recorded as a point of that metric, and goes where spans go. Inside a span that the metric is derived from,
    a call sets the figure of that span instead: nothing is counted twice. No method raises for what it is given; nothing happens while
    recording is off.

    :raises MetricError: there is no such metric
    """
    found = BY_NAME.get(name)
    if found is None:
        near = get_close_matches(name, BY_NAME, n=1)
        raise MetricError(
            f"no metric is named {name!r}; {f'did you mean {near[0]!r}?' if near else 'clew metrics list shows those there are'}"
        )
    return Measure(found)


class Measure:
    """A metric with its labels."""

    __slots__ = ("_labels", "declared")

    def __init__(self, declared: Metric, labels: Labels | None = None) -> None:
        self.declared = declared
        self._labels = labels

    def labels(self, *values: object, **named: object) -> Measure:
        """The metric under these labels, in the order of the catalogue or by name.

        :raises MetricError: not the labels that the metric has
        """
        names = self.declared.label_names
        if values and not named and len(values) == len(names):
            return Measure(self.declared, tuple(map(str, values)))
        if values or named.keys() != set(names):
            given = ", ".join(map(str, named)) if named else f"{len(values)} values"
            raise MetricError(f"{self.declared.name} has the labels {', '.join(names) or '(none)'}, not {given or 'none'}")
        return Measure(self.declared, tuple([str(named[name]) for name in names]))

    def inc(self, amount: float = 1) -> None:
        """A counter has grown, or a gauge has risen."""
        self._record("inc", "add", amount)

    def dec(self, amount: float = 1) -> None:
        """A gauge has fallen."""
        self._record("dec", "add", -amount)

    def set(self, value: float) -> None:
        """A gauge is at ``value``."""
        self._record("set", "set", value)

    def observe(self, value: float) -> None:
        """A histogram or summary has one more figure."""
        self._record("observe", "add", value)

    def _record(self, method: str, how: How, value: Any) -> None:
        try:
            declared = self.declared
            if method not in _METHODS[declared.type]:
                raise MetricError(f"{declared.name} is a {declared.type}: it has {', '.join(_METHODS[declared.type])}, not {method}")
            labels = self._labels
            if labels is None:
                if declared.labels:
                    raise MetricError(f"{declared.name} needs its labels: .labels({', '.join(declared.label_names)})")
                labels = ()
            value = float(value)
            if declared.type == "counter" and value < 0:
                raise MetricError(f"{declared.name} is a counter: it cannot fall by {-value:g}")
            recorder = state.running()
            if recorder is None:
                return
            span = inside.deriving(declared, dict(zip(declared.label_names, labels, strict=True)))
            if span is not None:
                inside.tell(span, value, labels)
                return
            labels = self._closed(labels)
            live.measure(declared, labels, how, value)
            recorder.points.note(declared, labels, how, value, _exemplar(recorder, value))
        except Exception:
            fault(f"recording {self.declared.name}")

    def _closed(self, labels: Labels) -> Labels:
        """The labels with ``other`` for what a closed set does not have, which is the program's mistake and is told."""
        kept = list(labels)
        for at, label in enumerate(self.declared.labels):
            if label.values and labels[at] not in label.values:
                kept[at] = OTHER
                try:
                    raise MetricError(
                        f"{self.declared.name} has no {label.name}={labels[at]!r}; it has {', '.join(label.values)}; counted as {OTHER}"
                    )
                except MetricError:
                    fault(f"recording {self.declared.name}")
        return tuple(kept)


def _exemplar(recorder: Any, value: float) -> Exemplar | None:
    span = inside.current()
    if span is None or not span.trace.sampled:
        return None
    return Exemplar(f"{span.trace.trace_id:032x}", value, recorder.wall())
