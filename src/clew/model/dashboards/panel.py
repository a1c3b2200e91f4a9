"""What a panel says: a title, how it is drawn, and the question whose answer it shows. Pure data, for the UI and for other systems' dashboards."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

View = Literal["line", "bars", "stat", "gauge", "table", "heatmap"]
"""``line``: figures over time; ``bars``: one bar for each key; ``stat``: single figures; ``gauge``: figures beside their limit; ``heatmap``: how
often each size occurs, over time."""
Unit = Literal["count", "share", "ns", "s", "ms", "usd", "tokens", "per_minute", "usd_per_hour", "bytes", "time", ""]
"""How a figure is written; '' for text and plain numbers. ``share`` is from 0 to 1, ``time`` nanoseconds since 1970."""
Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A figure that can be shown, as people call it."""

    title: str
    unit: Unit


FIGURES: Final[dict[str, Shown]] = {
    "spans": Shown("Spans", "count"),
    "per_minute": Shown("Per minute", "per_minute"),
    "errors": Shown("Failed", "count"),
    "error_rate": Shown("Failed share", "share"),
    "p50": Shown("p50", "ns"),
    "p95": Shown("p95", "ns"),
    "p99": Shown("p99", "ns"),
    "calls": Shown("Model calls", "count"),
    "input_tokens": Shown("Input tokens", "tokens"),
    "output_tokens": Shown("Output tokens", "tokens"),
    "tokens": Shown("Tokens", "tokens"),
    "cost": Shown("Cost", "usd"),
}
"""Of spans."""
PERCENTILES: Final = ("p50", "p95", "p99")
"""Figures that buckets of time do not add up to."""

METRIC_FIGURES: Final[dict[str, tuple[str, ...]]] = {
    "counter": ("total", "per_minute", "share"),
    "histogram": ("count", "per_minute", "share", "sum", "mean", "p50", "p95", "p99", "buckets"),
    "summary": ("count", "per_minute", "share", "sum", "mean", "p50", "p95", "p99"),
    "gauge": ("last",),
}
"""Type of a metric of the catalogue -> what can be asked of it. ``total``: by how much it grew; ``share``: how much of all has the labels of ``where``; ``buckets``: how the
figures spread; ``last``: what was said last."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Figures over spans (FIGURES), by a field of the filter language or ``@attribute``."""

    figures: tuple[str, ...]
    filter: str = ""
    by: str = ""
    compare: bool = False
    """Beside the same of the period before."""
    of: Literal["spans"] = "spans"


@dataclass(frozen=True, slots=True)
class Operations:
    """The operations of agents (a span's name), with percentiles, errors and throughput; the first in the order are shown."""

    order: Literal["slowest", "busiest", "failing", "regression"] = "slowest"
    """``regression``: by how much the p95 has grown since the period before."""
    filter: str = ""
    of: Literal["operations"] = "operations"


@dataclass(frozen=True, slots=True)
class Costs:
    """What model calls cost, by one of several keys: the reader chooses, the first one is shown at first."""

    by: tuple[str, ...]
    filter: str = ""
    of: Literal["costs"] = "costs"


@dataclass(frozen=True, slots=True)
class Spend:
    """Spent in the period, per hour, this month so far and by its end at the rate of the period; calls without price or usage."""

    filter: str = ""
    of: Literal["spend"] = "spend"


@dataclass(frozen=True, slots=True)
class MetricOf:
    """A metric of the catalogue, by some of its labels."""

    metric: str
    figures: tuple[str, ...]
    by: tuple[str, ...] = ()
    where: dict[str, str] = field(default_factory=dict)
    """Label -> value: only those; for ``share``, those among all."""
    of: Literal["metric"] = "metric"


@dataclass(frozen=True, slots=True)
class Budgets:
    """What was spent of budgets, as ``GET /api/v1/budgets`` tells it."""

    per: str = ""
    """Only those with an account for each of these, such as persona, or that hold for one of them alone."""
    of: Literal["budgets"] = "budgets"


@dataclass(frozen=True, slots=True)
class Failures:
    """Errors that are alike, with how often, first and last seen, and whom they befell."""

    filter: str = ""
    of: Literal["failures"] = "failures"


@dataclass(frozen=True, slots=True)
class Sql:
    """One SELECT over the public views. ``{from:Int64}`` and ``{to:Int64}`` in it are the period, in nanoseconds since 1970."""

    query: str
    of: Literal["sql"] = "sql"


Question = Spans | Operations | Costs | Spend | MetricOf | Budgets | Failures | Sql


@dataclass(frozen=True, slots=True)
class Threshold:
    """From this value on, in the panel's unit, a figure is of this level; ``at`` None: from the bottom."""

    level: Level
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel of a dashboard."""

    id: str
    """Lower case, digits and hyphens; unique in its dashboard."""
    title: str
    view: View
    question: Question
    width: int = 4
    """Of twelve columns."""
    limit: int = 10
    """Most rows, bars or lines."""
    thresholds: tuple[Threshold, ...] = ()
    """Ascending. They hold for shares where the panel shows some, else for figures in the unit of the first."""
    per_hour: bool = False
    """The thresholds are of one hour: over a longer period they grow with it."""
    help: str = ""
    """What the figures mean, where the title does not say."""
    fill: str = ""
    """The command that records what it shows; '' is that of the dashboard."""
    none: str = ""
    """What it means that there is nothing, where that is good news."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """Panels over one period and one filter."""

    name: str
    title: str
    about: str
    panels: tuple[Panel, ...]
    fill: str = ""
    """The command that records what it shows."""
