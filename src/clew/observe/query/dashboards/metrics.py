"""Metrics of the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from clew.model import attributes as names
from clew.model.catalogue import BY_NAME
from clew.model.catalogue.metric import MODEL_CALL, NAME, STATUS, Derived, Label, Metric
from clew.model.dashboards.panel import METRIC_FIGURES, MetricOf, Panel, Unit
from clew.observe.query import metrics
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row, Series, Value
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, joined, term
from clew.observe.query.metric_figures import Reading, Readings, metric_figures
from clew.observe.query.metric_figures import mistakes as mistakes_of
from clew.observe.store.figures_sql import of_metric
from clew.observe.store.store import Store

Said = list[tuple[Mapping[str, str], float]]
"""Labels and value of each series of a gauge, now."""


def ask(store: Store, name: str, by: tuple[str, ...], where: tuple[tuple[str, str], ...], filter: str, bucket_ns: int | None) -> Readings:
    return metric_figures(store, name, by=by, where=dict(where), filter=filter, bucket_ns=bucket_ns)


def ask_now(store: Store) -> dict[str, Said]:
    """Every gauge as it is now."""
    return {
        metric.name: [(dict(zip(metric.label_names, labels, strict=True)), series.value) for labels, series in found]
        for metric, found in metrics.gauges(store)
    }


def _question(panel: Panel) -> MetricOf:
    assert isinstance(panel.question, MetricOf)
    return panel.question


_UNITS: Final[dict[str, Unit]] = {"s": "s", "ms": "ms", "token": "tokens", "USD": "usd", "byte": "bytes"}
"""Of the catalogue -> of panels."""


def _metric(panel: Panel) -> Metric:
    return BY_NAME[_question(panel).metric]


def _is_now(panel: Panel) -> bool:
    """A gauge that is not drawn over time."""
    return _metric(panel).type == "gauge" and panel.view != "line"


def _bucket(panel: Panel, asked: Asked) -> int | None:
    return asked.period.bucket_ns if panel.view in ("line", "heatmap") else None


def _need(panel: Panel, asked: Asked, *, all: bool = False) -> Need:
    question = _question(panel)
    where = () if all else tuple(sorted(question.where.items()))
    return Need(ask, (question.metric, question.by, where, asked.within(), _bucket(panel, asked)))


def needs(panel: Panel, asked: Asked) -> list[Need]:
    if _is_now(panel):
        return [Need(ask_now)]
    share = "share" in _question(panel).figures
    return [_need(panel, asked), *([_need(panel, asked, all=True)] if share else [])]


def unit(metric: Metric, figure: str) -> Unit:
    if figure == "share":
        return "share"
    if figure == "per_minute":
        return "per_minute"
    if figure == "count":
        return "count"
    return _UNITS.get(metric.unit, "count")


_TITLES = {"total": "Count", "count": "Count", "per_minute": "Per minute", "share": "Share", "sum": "In all", "mean": "Mean", "last": "Now"}


def _title(question: MetricOf, figure: str) -> str:
    if figure == "share":
        return f"{', '.join(question.where.values())} of all"
    if figure in ("total", "count") and question.where:
        return ", ".join(question.where.values())
    return _TITLES.get(figure, figure)


def _of(metric: Metric, figure: str, row: Reading, minutes: float, all: Mapping[tuple[tuple[str, ...], int], Reading]) -> float | None:
    if figure == "share":
        whole = all.get((row.labels, row.start_ns))
        whole_size = _size(metric, whole) if whole else 0
        return _size(metric, row) / whole_size if whole_size else None
    if figure == "per_minute":
        return _size(metric, row) / minutes
    if figure == "count":
        return row.count
    if figure == "mean":
        return row.sum / row.count if row.count else None
    return row.sum if figure in ("total", "sum", "last") else row.percentile(metric, int(figure[1:]))


def _size(metric: Metric, row: Reading) -> float:
    return row.sum if metric.type == "counter" else row.count


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    question, metric = _question(panel), _metric(panel)
    if _is_now(panel):
        return _now(panel, found[Need(ask_now)])
    readings, *all = [found[need] for need in needs(panel, asked)]
    derived = bool([row for row in metric.derived if row.take != "active"])
    said = f"{metric.help} (the metric {metric.name}): "
    said += "from the spans that start in the period" if derived else "as programs measured it in the period"
    said += " and from measured points." if derived and readings.has_measured else "."
    if {"p50", "p95", "p99"} & {*question.figures}:
        said += " Percentiles are exact where spans give the figure, else they lie within their bucket."
    notes = ["the filter does not apply to measured points"] if asked.filter and readings.has_measured else []
    made = Answer(
        panel.id,
        times=asked.period.times,
        bucket_ns=asked.period.bucket_ns,
        provenance=said,
        filter=joined(_behind(question, asked, {}) or "", asked.period.filter) if derived else None,
        sql=_as_sql(question, metric, asked),
        notes=notes,
    )
    whole = {(row.labels, row.start_ns): row for row in all[0].rows} if all else {}
    if panel.view == "heatmap":
        return replace(made, series=_heat(metric, readings, asked, _behind(question, asked, {})))
    if panel.view == "line":
        return _lines(panel, asked, readings, whole, made)
    if panel.view == "stat":
        return _stats(panel, asked, readings, whole, made)
    if "buckets" in question.figures:
        return _spread(metric, readings, made)
    return _rows(panel, asked, readings, whole, made)


def _heat(metric: Metric, readings: Readings, asked: Asked, behind: str | None) -> list[Series]:
    """A row for each bucket of the metric between the least and the greatest that occur."""
    counts: dict[int, dict[int, int]] = {}
    for row in readings.rows:
        for slot, count in row.slots.items():
            at = counts.setdefault(slot, {})
            at[row.start_ns] = at.get(row.start_ns, 0) + count
    if not counts:
        return []
    return [
        Series(_bucket_name(metric, slot), "count", [counts.get(slot, {}).get(time, 0) for time in asked.period.times], filter=behind)
        for slot in range(min(counts), max(counts) + 1)
    ]


def _bucket_name(metric: Metric, slot: int) -> str:
    unit = {"s": " s", "token": " tokens"}.get(metric.unit, "")
    if slot >= len(metric.buckets):
        return f"> {metric.buckets[-1]:g}{unit}"
    if not unit and (metric.buckets[slot] == 0 or (slot and metric.buckets[slot] - metric.buckets[slot - 1] == 1)):
        return f"{metric.buckets[slot]:g}"  # of what is counted: the bucket holds one number
    return f"≤ {metric.buckets[slot]:g}{unit}"


def _spread(metric: Metric, readings: Readings, made: Answer) -> Answer:
    counts: dict[int, int] = {}
    for row in readings.rows:
        for slot, count in row.slots.items():
            counts[slot] = counts.get(slot, 0) + count
    rows = [Row([_bucket_name(metric, slot), counts.get(slot, 0)]) for slot in range(min(counts), max(counts) + 1)] if counts else []
    return replace(made, columns=[Column(metric.unit or "figure"), Column("Count", "count")], rows=rows)


def _label(question: MetricOf, labels: tuple[str, ...]) -> str:
    return (
        " → ".join(value or "(none)" for value in labels)
        if set(question.by) >= {"from_persona", "to_persona"}
        else " · ".join(value or "(none)" for value in labels)
    )


def _lines(panel: Panel, asked: Asked, readings: Readings, whole: Mapping[tuple[tuple[str, ...], int], Reading], made: Answer) -> Answer:
    question, metric = _question(panel), _metric(panel)
    by_key: dict[tuple[str, ...], dict[int, Reading]] = {}
    for row in readings.rows:
        by_key.setdefault(row.labels, {})[row.start_ns] = row
    ranked = sorted(by_key, key=lambda key: (-sum(_size(metric, row) for row in by_key[key].values()), key))
    series = []
    for key in ranked[: panel.limit]:
        for figure in question.figures:
            label = _label(question, key)
            if len(question.figures) > 1 or not label:
                label = f"{label} {_title(question, figure)}".strip()
            none = 0.0 if figure in ("total", "count", "per_minute", "sum") else None
            values = [
                _of(metric, figure, by_key[key][time], asked.period.minutes(time), whole) if time in by_key[key] else none
                for time in asked.period.times
            ]
            series.append(
                Series(label, unit(metric, figure), values, filter=_behind(question, asked, dict(zip(question.by, key, strict=True))))
            )
    notes = [*made.notes, f"{len(ranked) - panel.limit} further not shown"] if len(ranked) > panel.limit else made.notes
    return replace(made, series=series, notes=notes)


def _stats(panel: Panel, asked: Asked, readings: Readings, whole: Mapping[tuple[tuple[str, ...], int], Reading], made: Answer) -> Answer:
    question, metric = _question(panel), _metric(panel)
    if not readings.rows and not whole:
        return made
    row = readings.rows[0] if readings.rows else Reading((), 0)
    values = [
        Value(
            _title(question, figure),
            unit(metric, figure),
            _of(metric, figure, row, asked.period.minutes(), whole),
            filter=_behind(question, asked, {}),
        )
        for figure in question.figures
    ]
    return replace(made, values=values)


def _rows(panel: Panel, asked: Asked, readings: Readings, whole: Mapping[tuple[tuple[str, ...], int], Reading], made: Answer) -> Answer:
    question, metric = _question(panel), _metric(panel)
    minutes = asked.period.minutes()
    there = {row.labels: row for row in readings.rows}
    found = [there.get(labels, Reading(labels, 0)) for labels, _ in whole] if whole else readings.rows
    first = question.figures[0]
    ranked = sorted(found, key=lambda row: (-(_of(metric, first, row, minutes, whole) or 0), row.labels))
    is_table = panel.view == "table"
    rows = [
        Row(
            [
                *([value or "(none)" for value in row.labels] if is_table else [_label(question, row.labels) or "all"]),
                *(_of(metric, figure, row, minutes, whole) for figure in question.figures),
            ],
            filter=_behind(question, asked, dict(zip(question.by, row.labels, strict=True))),
        )
        for row in ranked[: panel.limit]
    ]
    named = [Column(label) for label in question.by] if is_table else [Column(" · ".join(question.by))]
    columns = [*named, *(Column(_title(question, figure), unit(metric, figure)) for figure in question.figures)]
    notes = [*made.notes, f"the first {len(rows)} of {len(ranked)}"] if len(ranked) > len(rows) else made.notes
    return replace(made, columns=columns, rows=rows, notes=notes)


def _now(panel: Panel, gauges: Mapping[str, Said]) -> Answer:
    question, metric = _question(panel), _metric(panel)
    said = [
        (labels, value) for labels, value in gauges.get(metric.name, []) if all(labels[name] == one for name, one in question.where.items())
    ]
    made = Answer(panel.id, provenance=f"{metric.help} (the metric {metric.name}): as it is now, without the filter.", api="/metrics")
    of_spans = bool(metric.derived)
    if not said and not of_spans:
        return made
    if panel.view == "stat":
        behind = _behind_open(metric) if of_spans else None
        return replace(made, values=[Value("Now", unit(metric, "last"), sum(value for _, value in said), filter=behind)])
    sums: dict[tuple[str, ...], float] = {}
    for labels, value in said:
        key = tuple(labels[name] for name in question.by)
        sums[key] = sums.get(key, 0.0) + value
    ranked = sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    is_table = panel.view == "table"
    rows = [
        Row([*([value or "(none)" for value in key] if is_table else [_label(question, key) or "all"]), value])
        for key, value in ranked[: panel.limit]
    ]
    named = [Column(label) for label in question.by] if is_table else [Column(" · ".join(question.by))]
    notes = [f"the first {len(rows)} of {len(ranked)}"] if len(ranked) > len(rows) else []
    return replace(made, columns=[*named, Column("Now", unit(metric, "last"))], rows=rows, notes=notes)


# --- what lies behind -----------------------------------------------------------------------------------------------------------------------

_FIELDS = {
    STATUS: "status",
    NAME: "name",
    names.AGENT_NAME: "agent",
    names.REQUEST_MODEL: "model",
    names.RESPONSE_MODEL: "model",
    names.PROVIDER: "provider",
    names.TOOL_NAME: "tool",
    names.WORKFLOW_NAME: "workflow",
    names.PERSONA: "persona",
    names.ERROR_TYPE: "error",
}
"""What is read of a span -> the field of the filter language that says it; anything else is an attribute."""


def _field(name: str) -> str:
    return _FIELDS.get(name, f"@{name}")


def _behind(question: MetricOf, asked: Asked, labels: Mapping[str, str]) -> str | None:
    """The filter for the spans that give the figures; None: points do."""
    metric = BY_NAME[question.metric]
    rows = [row for row in metric.derived if row.take != "active"]
    if not rows:
        return None
    kinds = sorted({"llm" if row.kind == MODEL_CALL else row.kind for row in rows})
    kind = f"kind:{kinds[0]}" if len(kinds) == 1 else f"kind:({','.join(kinds)})"
    wanted = {**question.where, **labels}
    return joined(
        kind,
        *_conditions(rows[0]),
        *(_condition(label, wanted[label.name]) for label in metric.labels if label.name in wanted),
        asked.filter,
    )


def _conditions(row: Derived) -> list[str]:
    return [f"{_field(name)}:*" if not values else f"{_field(name)}:({','.join(values)})" for name, values in row.where.items()]


def _condition(label: Label, value: str) -> str:
    """Spans whose label has that value."""
    if value in ("", label.default):
        return " ".join(f"-{_field(name)}:*" for name in label.of if name != STATUS)
    said = [value, *(given for given, shown in label.map.items() if shown == value)]
    found: list[str] = []
    absent: list[str] = []
    for name in label.of:
        values = [one for one in said if (one in _STATUSES) == (name == STATUS)]
        if values:
            either = " OR ".join(term(_field(name), one) for one in values)
            found.append(" ".join([*absent, f"({either})" if len(values) > 1 else either]))
        absent.append(f"-{_field(name)}:*")
    return f"({' OR '.join(f'({part})' if ' ' in part else part for part in found)})" if len(found) > 1 else " ".join(found)


_STATUSES = ("ok", "error", "unset")


def _behind_open(metric: Metric) -> str:
    return joined(" ".join(f"kind:{row.kind}" for row in metric.derived[:1]), "state:running")


def _as_sql(question: MetricOf, metric: Metric, asked: Asked) -> str | None:
    """Spans: the catalogue's derivation as SQL, over the store's own tables. Points: over their view."""
    period = asked.period
    labels = ", ".join(f"labels[{metric.label_names.index(name) + 1}] AS {name}" for name in question.by)
    groups = f" GROUP BY {', '.join(question.by)}" if question.by else ""
    if not [row for row in metric.derived if row.take != "active"]:
        keys = ", ".join(f"attributes['{name}'] AS {name}" for name in question.by)
        figure = (
            "argMax(value, time_ns) AS last"
            if metric.type == "gauge"
            else "sum(value) AS total"
            if metric.type == "counter"
            else "sum(count) AS count, sum(sum) AS total"
        )
        window = f"time_ns BETWEEN {period.first_ns} AND {period.last_ns}"
        return f"SELECT {', '.join(filter(None, [keys, figure]))}\nFROM points WHERE name = '{metric.name}' AND {window}{groups}"
    where = [f"labels[{metric.label_names.index(name) + 1}] = {as_sql.literal(value)}" for name, value in question.where.items()]
    given = f" AND (trace_id, span_id) IN (SELECT trace_id, span_id FROM spans WHERE {as_sql.within('', asked)})" if asked.filter else ""
    source = of_metric(metric, f"start_ns BETWEEN {period.first_ns} AND {period.last_ns}{given}", "1")
    figures = "count() AS count, sum(value) AS total, quantilesExact(0.5, 0.95, 0.99)(value) AS p50_p95_p99"
    return f"SELECT {', '.join(filter(None, [labels, figures]))}\nFROM ({source}){' WHERE ' + ' AND '.join(where) if where else ''}{groups}"


def mistakes(panel: Panel) -> Iterable[str]:
    question = _question(panel)
    found = list(mistakes_of(question.metric, question.by, question.where))
    yield from found
    if found:
        return
    known = METRIC_FIGURES[_metric(panel).type]
    if not question.figures:
        yield f"no figure is asked for; choose from {', '.join(known)}"
    for figure in question.figures:
        if figure not in known:
            yield f"{question.metric} is a {_metric(panel).type}: it has no figure {figure!r}, only {', '.join(known)}"
    if "share" in question.figures and not question.where:
        yield "a share needs labels in where: how much of all has them"
    if panel.view == "heatmap" and question.figures != ("buckets",):
        yield "a heatmap shows the figure buckets"
    if "buckets" in question.figures and panel.view not in ("heatmap", "bars"):
        yield "buckets are shown as heatmap or bars"
    if panel.view in ("bars", "stat") and "buckets" not in question.figures and panel.view == "stat" and question.by:
        yield "a stat is of all labels together; leave by empty"


KIND = Kind(needs, shape, mistakes, ("line", "stat", "bars", "table", "heatmap"))
