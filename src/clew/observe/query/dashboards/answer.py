"""What a panel shows: the same few shapes whatever was asked, so that whoever draws it looks at the panel's view alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from clew.model.dashboards.panel import Level, Unit


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart, or one row of a heatmap: a figure for each of the answer's times."""

    label: str
    unit: Unit
    values: list[float | None]
    unknown: list[int] = field(default_factory=list)
    """Places of figures of which only a part is known."""
    filter: str | None = None
    """What lies behind it, without a time; None: nothing that a filter finds."""


@dataclass(frozen=True, slots=True)
class Value:
    """One figure. ``value`` None: not known."""

    title: str
    unit: Unit
    value: float | None
    is_partial: bool = False
    """At least this: some of it is not known."""
    is_estimated: bool = False
    hint: str = ""
    before: float | None = None
    """The same of the period before, where the panel compares."""
    spark: list[float | None] = field(default_factory=list)
    """It over time."""
    filter: str | None = None
    level: Level | None = None
    """How bad it is, where that does not follow from the panel's thresholds."""


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    unit: Unit = ""
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns. A cell is a text or a figure; None: not known."""

    cells: list[Any]
    partial: list[int] = field(default_factory=list)
    """Columns whose figure is at least this: some of it is not known."""
    hint: str = ""
    filter: str | None = None
    page: str = "/search"
    """The page of the UI that shows what lies behind, with the filter."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a panel shows. Which of the lists is filled follows from its view; all empty: there is nothing to show."""

    panel: str
    times: list[int] = field(default_factory=list)
    """Starts of the buckets, nanoseconds since 1970."""
    bucket_ns: int | None = None
    series: list[Series] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    provenance: str = ""
    """Where the figures come from."""
    filter: str | None = None
    """As query: the spans that were looked at, in the filter language, with the time."""
    api: str | None = None
    """The address of the API that answers the same."""
    sql: str | None = None
    """As SQL: for ``POST /api/v1/sql`` and ``clew sql``."""
    notes: list[str] = field(default_factory=list)
    """What is cut, or not taken into account."""
    choices: list[str] = field(default_factory=list)
    """Keys that the reader may choose from; the first is shown unless one is chosen."""
    chosen: str = ""
    trouble: str = ""
    """Why there is no answer."""


@dataclass(frozen=True, slots=True)
class Answers:
    """The panels that were asked for, in the order of the dashboard."""

    dashboard: str
    from_ns: int
    to_ns: int
    """The end of the period, or now when it is not over."""
    bucket_ns: int
    answers: list[Answer]
