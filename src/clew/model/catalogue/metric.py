"""What a row of the catalogue says: a metric, its labels, and where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from clew.model import attributes as names
from clew.model import reading

Type = Literal["counter", "gauge", "histogram", "summary"]
Take = Literal["count", "duration", "value", "active"]

# What a label or a value may be read from beside attributes.
STATUS: Final = "status"
"""How the span ended: ok, error or unset."""
NAME: Final = "span name"
"""The span's name."""
COST: Final = "cost"
"""USD of a model call: what the provider reported, else tokens x price; unknown adds nothing."""
COST_SOURCE: Final = "cost source"
"""Where that figure comes from: reported, computed, cached, unpriced or missing."""

MODEL_CALL: Final = "model_call"
"""A span that counts as a model call: of kind llm without an llm descendant, or with usage none of whose descendants has any. What a limit
did not let start is none, and hides none above it."""

REFUSED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({names.ERROR_TYPE: reading.REFUSED})
"""What was not let start: no request was made."""

OTHER: Final = "other"
"""Label value that stands for those beyond a label's bounds."""

OVERRIDE: Final = "clew.metric."
"""Attribute that carries a figure which a call gave inside a span, where no attribute of its own does: this and the metric's name."""

NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Label(NamedTuple):
    """A label of a metric.

    Its bounds: the values of ``values`` where it has some, else the first ``most`` values that occur; any other value becomes ``other`` and
    is counted in clew_metric_overflow_total.
    """

    name: str
    of: tuple[str, ...] = ()
    """Attributes of the span (or STATUS, NAME, COST_SOURCE) that it is read from; the first that has a value which fits holds."""
    values: tuple[str, ...] = ()
    """The closed set of its values; empty: any."""
    map: Mapping[str, str] = NOTHING
    """Value of the attribute -> value of the label; what is not named stays as it is."""
    default: str = ""
    """Where nothing of ``of`` has a value."""
    most: int = 100

    def read(self, value: str) -> str | None:
        """The label's value for one of an attribute; None when it does not fit."""
        shown = self.map.get(value, value)
        return shown if shown and (not self.values or shown in self.values) else None


class Derived(NamedTuple):
    """How spans give figures of a metric."""

    kind: str
    """Kind of span, or MODEL_CALL. Spans of kind llm with an llm descendant are left out: they are the same call again."""
    take: Take = "count"
    """count: 1 for each span that ended; duration: its seconds; value: the sum of ``attributes``; active: 1 while it is open."""
    attributes: tuple[str, ...] = ()
    where: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Attribute -> values that it must have one of; no values: that it must be there."""
    unless: Mapping[str, tuple[str, ...]] = MappingProxyType({})
    """Attribute -> values that it must have none of."""
    const: Mapping[str, str] = NOTHING
    """Labels that are the same for all of them."""
    scale: float = 1.0
    """What the figure is multiplied with, such as 1000 for milliseconds."""

    @property
    def attribute(self) -> str | None:
        """The one attribute that holds the figure; None when there is no such."""
        return self.attributes[0] if self.take == "value" and len(self.attributes) == 1 and self.attributes[0] != COST else None


class Metric(NamedTuple):
    """A metric. Its figures are *derived* from spans where ``derived`` says how, and *measured* by calls.

    A call inside a span that the metric is derived from sets that span's figure; anywhere else it adds a measured point.
    """

    name: str
    """As Prometheus shows it; a counter's ends in ``_total``."""
    type: Type
    help: str
    labels: tuple[Label, ...] = ()
    unit: str = ""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram, ascending, without the infinite one."""
    quantiles: tuple[float, ...] = ()
    """Of a summary."""
    derived: tuple[Derived, ...] = ()
    otel: str = ""
    """OpenTelemetry's name, where its conventions have one."""
    across: Literal["sum", "last"] = "sum"
    """A gauge over several processes: the sum of those that live, or what was set last."""
    also: tuple[str, ...] = ()
    """Names that other systems have for the same."""

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple([label.name for label in self.labels])

    @property
    def source(self) -> str:
        """``derived`` or ``measured``."""
        return "derived" if self.derived else "measured"

    @property
    def samples(self) -> tuple[str, ...]:
        """Names of its samples as Prometheus stores them."""
        if self.type == "histogram":
            return (f"{self.name}_bucket", f"{self.name}_sum", f"{self.name}_count")
        if self.type == "summary":
            return (self.name, f"{self.name}_sum", f"{self.name}_count")
        return (self.name,)
