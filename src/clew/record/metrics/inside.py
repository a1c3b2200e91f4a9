"""Calls inside a span that the metric is derived from: they set the span's figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final, NamedTuple

from clew.model import attributes as names
from clew.model.catalogue.metric import COST, COST_SOURCE, MODEL_CALL, NAME, OVERRIDE, STATUS, Derived, Label, Metric
from clew.record.context import Remote, context
from clew.record.span import Span

_around: Final[ContextVar[tuple[Span, ...]]] = ContextVar("clew_metric_spans", default=())
"""Spans of instruments that a call may be meant for though another span is current, innermost first."""

_MODEL_KINDS: Final = ("llm", "embedding", "agent")
_NO_ATTRIBUTES: Final = (STATUS, NAME, COST, COST_SOURCE)


class Deriving(NamedTuple):
    """A span, and how it gives figures of a metric."""

    span: Span
    metric: Metric
    derived: Derived


@contextmanager
def within(span: Any) -> Iterator[None]:
    """Calls inside are for ``span``, where it derives their metric. Nothing, while recording is off."""
    if not isinstance(span, Span):
        yield
        return
    token = _around.set((span, *_around.get()))
    try:
        yield
    finally:
        _around.reset(token)


def current() -> Span | None:
    """The current span, when it is one of this process that is still open."""
    here = context.current()
    return None if here is None or type(here) is Remote or here.ended else here


def deriving(metric: Metric, labels: Mapping[str, str]) -> Deriving | None:
    """The enclosing span that gives figures of the metric under labels like these, if there is one."""
    if not metric.derived:
        return None
    here = current()
    for span in (*(() if here is None else (here,)), *_around.get()):
        if span.ended:
            continue
        attributes = {**span.instrument.fixed, **span.attributes}
        for derived in metric.derived:
            if (
                (span.kind in _MODEL_KINDS if derived.kind == MODEL_CALL else span.kind == derived.kind)
                and all(labels.get(name) == value for name, value in derived.const.items())
                and all(_may_be(attributes.get(name), values) for name, values in derived.where.items())
            ):
                return Deriving(span, metric, derived)
    return None


def _may_be(value: object, values: tuple[str, ...]) -> bool:
    """Whether an attribute fulfils a condition, or will once it is set to the one value that does."""
    return len(values) == 1 if value is None else not values or value in values


def tell(deriving: Deriving, value: float, labels: tuple[str, ...]) -> None:
    """Sets what a call said on the span: the figure, the labels, and what makes the span count."""
    span, metric, derived = deriving
    for name, values in derived.where.items():
        if len(values) == 1 and name not in span.attributes:
            span.set(name, values[0])
    for label, text in zip(metric.labels, labels, strict=True):
        if text and label.name not in derived.const:
            _tell_label(span, label, text)
    if derived.attribute is not None:
        span.set(derived.attribute, int(value) if value.is_integer() else value)
    elif derived.take in ("value", "duration"):
        span.set(OVERRIDE + metric.name, value)


def _tell_label(span: Span, label: Label, text: str) -> None:
    attribute = next((name for name in label.of if name not in _NO_ATTRIBUTES), None)
    if attribute is None:
        return
    raw = next((raw for raw, shown in label.map.items() if shown == text), text)
    if STATUS in label.of:
        if attribute == names.ERROR_TYPE and text in ("success", "error"):
            return  # how the span ends says so
        raw = text
    if label.read(str(span.attributes.get(attribute, ""))) != text:
        span.set(attribute, raw)
