"""Figures derived from this process's spans as they start and end. The server derives the same from the record, by SQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from clew.model.catalogue import CATALOGUE
from clew.model.catalogue.figures import Exemplar, Figures, Labels
from clew.model.catalogue.metric import COST, COST_SOURCE, MODEL_CALL, OVERRIDE, STATUS, Derived, Metric
from clew.model.kinds import STATUS_CODES
from clew.model.reading import has_usage, kind_of, number_of, text_of, value_of
from clew.record import state
from clew.record.metrics import live

if TYPE_CHECKING:
    from clew.record.metrics.pricing import Pricing
    from clew.record.span import Span

_STATUS: Final = {code: status for status, code in STATUS_CODES.items()}


class _Open:
    """A span that has not ended."""

    __slots__ = ("has_llm", "has_usage", "parent", "shown")

    def __init__(self, parent: int) -> None:
        self.parent = parent
        self.has_llm = False
        """Whether a span of kind llm ended inside."""
        self.has_usage = False
        self.shown: list[tuple[Metric, Labels]] = []
        """What it counts as active for."""


def _of_kind(kind: str, *, active: bool) -> list[tuple[Metric, Derived]]:
    return [(metric, row) for metric in CATALOGUE for row in metric.derived if row.kind == kind and (row.take == "active") is active]


_KINDS: Final = {row.kind for metric in CATALOGUE for row in metric.derived}
ACTIVE: Final = {kind: _of_kind(kind, active=True) for kind in _KINDS}
ENDED: Final = {kind: _of_kind(kind, active=False) for kind in _KINDS}


class Derivation:
    """A processor that keeps the figures."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._pricing: Pricing | None = None
        self._renew()
        os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        """In a forked child: what is open is the parent's."""
        self._lock = threading.Lock()
        self._open: dict[int, _Open] = {}

    def on_start(self, span: Span) -> None:
        found = _Open(span.parent_span_id)
        for metric, row in ACTIVE.get(_kind(span), ()):
            attributes = _attributes(span)
            if _fulfils(row, attributes):
                labels = _labels(metric, row, attributes, "unset", "")
                self._figures.add(metric, labels, 1)
                found.shown.append((metric, labels))
        with self._lock:
            self._open[span.span_id] = found

    def on_end(self, span: Span) -> None:
        attributes = _attributes(span)
        kind = _kind(span)
        used = has_usage(attributes)
        found = self._leave(span, kind, used)
        for metric, labels in found.shown:
            self._figures.add(metric, labels, -1)
        if kind == "llm" and found.has_llm:
            return
        status = _STATUS[span.status_code]
        called = kind == "llm" or (used and not found.has_usage)
        cost, source = self._cost(span, attributes) if called else (None, "")
        exemplar_of = (f"{span.trace.trace_id:032x}", span.ended + span.trace.offset) if span.trace.sampled else None
        for metric, row in (*ENDED.get(kind, ()), *(ENDED[MODEL_CALL] if called else ())):
            if not _fulfils(row, attributes):
                continue
            value = _figure(metric, row, attributes, span, cost)
            if value is not None:
                exemplar = Exemplar(exemplar_of[0], value, exemplar_of[1]) if exemplar_of else None
                self._figures.add(metric, _labels(metric, row, attributes, status, source), value, exemplar)

    def _leave(self, span: Span, kind: str, used: bool) -> _Open:
        """The span is no longer open; those it is in learn what it was."""
        with self._lock:
            found = self._open.pop(span.span_id, None) or _Open(span.parent_span_id)
            if kind == "llm" or used:
                above = self._open.get(found.parent)
                while above is not None:
                    above.has_llm |= kind == "llm"
                    above.has_usage |= used
                    above = self._open.get(above.parent)
        return found

    def _cost(self, span: Span, attributes: Mapping[str, Any]) -> tuple[float | None, str]:
        if self._pricing is None:
            from clew.record.metrics.pricing import Pricing

            self._pricing = Pricing(span.recorder.settings.data_dir)
        return self._pricing.cost(attributes, span.started + span.trace.offset)


def _kind(span: Span) -> str:
    return span.instrument.kind or kind_of(span.attributes)


def _attributes(span: Span) -> dict[str, Any]:
    return {**span.instrument.fixed, **span.attributes}


def _fulfils(row: Derived, attributes: Mapping[str, Any]) -> bool:
    for name, values in row.where.items():
        text = text_of(attributes, name)
        if not text or (values and text not in values):
            return False
    return not any(text_of(attributes, name) in values for name, values in row.unless.items())


def _labels(metric: Metric, row: Derived, attributes: Mapping[str, Any], status: str, source: str) -> Labels:
    given = {STATUS: status, COST_SOURCE: source}
    labels = []
    for label in metric.labels:
        value = row.const.get(label.name)
        for name in () if value is not None else label.of:
            text = given[name] if name in given else text_of(attributes, name)
            value = label.read(text) if text else None
            if value is not None:
                break
        labels.append(label.default if value is None else value)
    return tuple(labels)


def _figure(metric: Metric, row: Derived, attributes: Mapping[str, Any], span: Span, cost: float | None) -> float | None:
    """The figure that the span gives; None when it has none."""
    if row.take == "count":
        return 1.0
    if row.attribute is None:
        told = value_of(attributes, OVERRIDE + metric.name)
        if told is not None:
            return float(told)
    if row.take == "duration":
        return (span.ended - span.started) / 1e9 * row.scale
    numbers = [cost if name == COST else number_of(attributes, name) for name in row.attributes]
    known = [number for number in numbers if number is not None]
    return sum(known) * row.scale if known else None


_derivation: Derivation | None = None
_starting = threading.Lock()


def start() -> None:
    """Derives from now on. Idempotent."""
    global _derivation
    with _starting:
        if _derivation is None:
            _derivation = Derivation(live.derived)
            state.attach(_derivation)


def stop() -> None:
    """Derives no more; what was derived stays."""
    global _derivation
    with _starting:
        if _derivation is not None:
            state.detach(_derivation)
            _derivation = None
