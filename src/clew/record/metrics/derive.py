"""Figures derived from this process's spans as they start and end. The server derives the same from the record, by SQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from clew.model.catalogue import CATALOGUE
from clew.model.catalogue.figures import Exemplar, Figures, Labels
from clew.model.catalogue.metric import COST, COST_SOURCE, MODEL_CALL, NAME, OVERRIDE, STATUS, Derived, Label, Metric
from clew.model.dialects import COLUMNS, LONG_VALUE_BYTES
from clew.model.kinds import STATUS_CODES
from clew.model.reading import has_usage, is_refused, kind_of, number_of, text_of
from clew.record import state
from clew.record.metrics import live

if TYPE_CHECKING:
    from clew.record.metrics.pricing import Pricing
    from clew.record.span import Span

_COLUMNS: Final = frozenset([column.keys[0] for column in COLUMNS])
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
        rows = ACTIVE.get(_kind(span))
        if rows:
            facts = _Facts(span)
            for metric, row in rows:
                if facts.fulfil(row):
                    labels = facts.labels(metric, row)
                    self._figures.add(metric, labels, 1)
                    found.shown.append((metric, labels))
        with self._lock:
            self._open[span.span_id] = found

    def on_end(self, span: Span) -> None:
        facts = _Facts(span)
        kind = _kind(span)
        refused = is_refused(facts.attributes)
        used = not refused and has_usage(facts.attributes)
        found = self._leave(span, kind == "llm" and not refused, used)
        for metric, labels in found.shown:
            self._figures.add(metric, labels, -1)
        if kind == "llm" and found.has_llm:
            return
        called = not refused and (kind == "llm" or (used and not found.has_usage))
        if called:
            facts.priced(*self._cost(span, facts.attributes))
        trace_id = f"{span.trace.trace_id:032x}" if span.trace.sampled else ""
        ended_ns = span.ended + span.trace.offset
        for metric, row in (*ENDED.get(kind, ()), *(ENDED[MODEL_CALL] if called else ())):
            if facts.fulfil(row) and (value := _figure(metric, row, facts, span)) is not None:
                exemplar = Exemplar(trace_id, value, ended_ns) if trace_id else None
                self._figures.add(metric, facts.labels(metric, row), value, exemplar)

    def _leave(self, span: Span, llm: bool, used: bool) -> _Open:
        """The span is no longer open; those it is in learn what it was."""
        with self._lock:
            found = self._open.pop(span.span_id, None) or _Open(span.parent_span_id)
            if llm or used:
                above = self._open.get(found.parent)
                while above is not None:
                    above.has_llm |= llm
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


class _Facts:
    """What a span says, looked up once however many metrics ask."""

    __slots__ = ("_labels", "_numbers", "_texts", "attributes")

    def __init__(self, span: Span) -> None:
        self.attributes: dict[str, Any] = {**span.instrument.fixed, **span.attributes}
        self._texts: dict[str, str] = {STATUS: _STATUS[span.status_code] if span.ended else "unset", NAME: span.name}
        self._numbers: dict[str, float | None] = {}
        self._labels: dict[int, str] = {}

    def priced(self, cost: float | None, source: str) -> None:
        self._numbers[COST] = cost
        self._texts[COST_SOURCE] = source

    def text(self, name: str) -> str:
        found = self._texts.get(name)
        if found is None:
            found = text_of(self.attributes, name)
            if len(found) > LONG_VALUE_BYTES // 4 and name not in _COLUMNS and len(found.encode("utf-8", "replace")) > LONG_VALUE_BYTES:
                found = ""  # the store keeps it as content, apart from what it derives metrics from
            self._texts[name] = found
        return found

    def number(self, name: str) -> float | None:
        if name not in self._numbers:
            self._numbers[name] = number_of(self.attributes, name)
        return self._numbers[name]

    def fulfil(self, row: Derived) -> bool:
        for name, values in row.where.items():
            text = self.text(name)
            if not text or (values and text not in values):
                return False
        return not row.unless or all(self.text(name) not in values for name, values in row.unless.items())

    def labels(self, metric: Metric, row: Derived) -> Labels:
        if not row.const:
            return tuple([self._label(label) for label in metric.labels])
        return tuple([row.const[label.name] if label.name in row.const else self._label(label) for label in metric.labels])

    def _label(self, label: Label) -> str:
        known = self._labels.get(id(label))  # rows share their labels
        if known is None:
            known = label.default
            for name in label.of:
                text = self.text(name)
                if text and (shown := label.read(text)) is not None:
                    known = shown
                    break
            self._labels[id(label)] = known
        return known


def _figure(metric: Metric, row: Derived, facts: _Facts, span: Span) -> float | None:
    """The figure that the span gives; None when it has none."""
    if row.take == "count":
        return 1.0
    if row.attribute is None and (told := facts.attributes.get(OVERRIDE + metric.name)) is not None:
        return float(told)
    if row.take == "duration":
        return (span.ended - span.started) / 1e9 * row.scale
    known = [number for name in row.attributes if (number := facts.number(name)) is not None]
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
