"""Figures over spans."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from difflib import get_close_matches

from clew.model.dashboards.panel import FIGURES, PERCENTILES, Panel, Spans
from clew.observe.query import aggregates
from clew.observe.query.aggregates import Aggregates, Figures
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row, Series, Value
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, address, joined, term
from clew.observe.query.dashboards.period import Period
from clew.observe.query.rolled import Part
from clew.observe.store.store import Store

MOST_KEYS = 20
"""Keys of figures over time: those with the most spans."""
MOST_ROWS = 1000
"""Keys of figures that are not over time."""

OF: dict[str, Callable[[Figures, float], float | None]] = {
    "spans": lambda row, _: row.spans,
    "per_minute": lambda row, minutes: row.spans / minutes,
    "errors": lambda row, _: row.errors,
    "error_rate": lambda row, _: row.errors / row.spans if row.spans else None,
    "p50": lambda row, _: row.p50_ns,
    "p95": lambda row, _: row.p95_ns,
    "p99": lambda row, _: row.p99_ns,
    "calls": lambda row, _: row.model_calls,
    "input_tokens": lambda row, _: row.input_tokens if row.model_calls else 0,
    "output_tokens": lambda row, _: row.output_tokens if row.model_calls else 0,
    "tokens": lambda row, _: _tokens(row),
    "cost": lambda row, _: row.partial_cost_usd,
}
"""Figure of FIGURES -> it of a row, and the minutes that this is of."""
OF_PARTS: dict[Part, frozenset[str]] = {
    "times": frozenset(PERCENTILES),
    "calls": frozenset(("calls", "input_tokens", "output_tokens", "tokens", "cost")),
}
NONE_IS_ZERO = ("spans", "per_minute", "errors", "calls", "input_tokens", "output_tokens", "tokens", "cost")
"""Figures that are 0 where there are no spans; the others are not known there."""


def _tokens(row: Figures) -> int | None:
    if not row.model_calls:
        return 0
    return None if row.input_tokens is None and row.output_tokens is None else (row.input_tokens or 0) + (row.output_tokens or 0)


def is_partial(figure: str, row: Figures) -> bool:
    """Whether a figure is only what is known."""
    return figure == "cost" and row.model_calls > 0 and row.cost_usd is None


def ask(store: Store, filter: str, by: str, bucket_ns: int | None, most: int, parts: Collection[Part] = ()) -> Aggregates:
    bucket = None if bucket_ns is None else f"{bucket_ns}ns"
    return aggregates.aggregate(store, filter, by=by, bucket=bucket, limit=most, parts=parts)


def _over_time(question: Spans, asked: Asked, by: str) -> Need:
    return Need(ask, (asked.within(question.filter), by, asked.period.bucket_ns, MOST_KEYS), _parts(question))


def _at_once(question: Spans, asked: Asked, by: str, period: Period | None = None) -> Need:
    return Need(ask, (asked.within(question.filter, period), by, None, MOST_ROWS), _parts(question))


def _parts(question: Spans) -> frozenset[Part]:
    return frozenset(part for part, figures in OF_PARTS.items() if not figures.isdisjoint(question.figures))


def summed(rows: Sequence[Figures]) -> Figures:
    """Several rows as one; their percentiles are not known."""

    def total(values: Iterable[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    unknown = any(row.model_calls and row.cost_usd is None for row in rows)
    partial = sum(row.partial_cost_usd for row in rows)
    return Figures(
        "",
        None,
        sum(row.spans for row in rows),
        sum(row.errors for row in rows),
        None,
        None,
        None,
        sum(row.model_calls for row in rows),
        total(row.input_tokens for row in rows),
        total(row.output_tokens for row in rows),
        None if unknown else partial,
        partial,
    )


def _question(panel: Panel) -> Spans:
    assert isinstance(panel.question, Spans)
    return panel.question


def _adds_up(question: Spans) -> bool:
    return "times" not in _parts(question)


def needs(panel: Panel, asked: Asked) -> list[Need]:
    question = _question(panel)
    if panel.view == "line":
        return [_over_time(question, asked, question.by)]
    if panel.view == "stat":
        now = _over_time(question, asked, "") if _adds_up(question) else _at_once(question, asked, "")
        return [now, _at_once(question, asked, "", asked.period.before)] if question.compare else [now]
    return [_at_once(question, asked, question.by)]


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    question = _question(panel)
    answers = [found[need] for need in needs(panel, asked)]
    bucket_ns = asked.period.bucket_ns if panel.view == "line" else None
    filter = asked.within(question.filter)
    made = Answer(
        panel.id,
        times=asked.period.times,
        bucket_ns=asked.period.bucket_ns,
        provenance=_provenance(question),
        filter=filter,
        api=address("aggregates", filter=filter, by=question.by, bucket=f"{bucket_ns // 1_000_000_000}s" if bucket_ns else None),
        sql=as_sql.of_spans(question.filter, asked, question.by, question.figures, bucket_ns),
    )
    if panel.view == "line":
        return _lines(panel, asked, answers[0], made)
    if panel.view == "stat":
        return _stats(panel, asked, answers, made)
    return _rows(panel, asked, answers[0], made)


def _provenance(question: Spans) -> str:
    said = ["Spans that start in the period and match the filter, each once."]
    parts = _parts(question)
    if "times" in parts:
        said.append("Percentiles are of spans that have ended; large stores tell them from digests, within 1 % of their place.")
    if "calls" in parts:
        said.append("Tokens and cost are those of model calls: cost as the provider reported it, else tokens × price.")
    return " ".join(said)


def _filter_of(question: Spans, asked: Asked, key: str | None = None) -> str:
    """What lies behind a figure, without a time."""
    filters = [question.filter, asked.filter]
    if key is not None and question.by:
        filters.append(term(question.by, key))
    if question.figures[0] in ("errors",):
        filters.append("status:error")
    return joined(*filters)


def _lines(panel: Panel, asked: Asked, answer: Aggregates, made: Answer) -> Answer:
    question = _question(panel)
    by_key: dict[str, dict[int, Figures]] = {}
    for row in answer.rows:
        by_key.setdefault(row.key, {})[row.start_ns or 0] = row
    if OF_PARTS["calls"].issuperset(question.figures):
        by_key = {key: rows for key, rows in by_key.items() if any(row.model_calls for row in rows.values())}
    totals = {key: OF[question.figures[0]](summed(list(rows.values())), 1.0) or 0 for key, rows in by_key.items()}
    ranked = sorted(by_key, key=lambda key: (-totals[key], key))
    series = []
    for key in ranked[: panel.limit]:
        for figure in question.figures:
            label = " ".join(
                filter(
                    None,
                    [
                        key or (f"(no {question.by.removeprefix('@')})" if question.by else ""),
                        FIGURES[figure].title if len(question.figures) > 1 else "",
                    ],
                )
            )
            series.append(_series(asked.period, label or FIGURES[figure].title, figure, by_key[key], _filter_of(question, asked, key)))
    notes = []
    if len(ranked) > panel.limit:
        notes.append(f"{len(ranked) - panel.limit}{' or more' if answer.more else ''} further not shown")
    elif answer.more:
        notes.append(f"only the {MOST_KEYS} with the most spans")
    return replace(made, series=series, notes=notes)


def _series(period: Period, label: str, figure: str, rows: dict[int, Figures], filter: str) -> Series:
    values: list[float | None] = []
    unknown: list[int] = []
    for place, start_ns in enumerate(period.times):
        row = rows.get(start_ns)
        if row is None:
            values.append(0 if figure in NONE_IS_ZERO else None)
            continue
        values.append(OF[figure](row, period.minutes(start_ns)))
        if is_partial(figure, row):
            unknown.append(place)
    return Series(label, FIGURES[figure].unit, values, unknown, filter)


def _stats(panel: Panel, asked: Asked, answers: Sequence[Aggregates], made: Answer) -> Answer:
    question, period = _question(panel), asked.period
    rows = answers[0].rows
    now = rows[0] if rows and not _adds_up(question) else summed(rows)
    before = answers[1].rows[0] if len(answers) > 1 and answers[1].rows else None
    if not now.spans:
        return made
    values = []
    for figure in question.figures:
        spark: list[float | None] = []
        if _adds_up(question):
            spark = _series(period, "", figure, {row.start_ns or 0: row for row in rows}, "").values
        values.append(
            Value(
                FIGURES[figure].title,
                FIGURES[figure].unit,
                OF[figure](now, period.minutes()),
                is_partial(figure, now),
                hint="Some calls have no price or recorded no usage: at least this." if is_partial(figure, now) else "",
                before=OF[figure](before, period.before.elapsed_ns / 60e9) if before else None,
                spark=spark,
                filter=joined(question.filter, asked.filter, *(["status:error"] if figure in ("errors", "error_rate") else [])),
            )
        )
    return replace(made, values=values)


def _rows(panel: Panel, asked: Asked, answer: Aggregates, made: Answer) -> Answer:
    question = _question(panel)
    minutes = asked.period.minutes()
    first = question.figures[0]
    rows = sorted(answer.rows, key=lambda row: (-(OF[first](row, minutes) or 0), row.key))
    shown = [
        Row(
            [
                row.key or f"(no {question.by.removeprefix('@')})" if question.by else "all",
                *(OF[figure](row, minutes) for figure in question.figures),
            ],
            [1 + place for place, figure in enumerate(question.figures) if is_partial(figure, row)],
            filter=_filter_of(question, asked, row.key),
        )
        for row in rows[: panel.limit]
    ]
    columns = [
        Column(question.by.removeprefix("@") or ""),
        *(Column(FIGURES[figure].title, FIGURES[figure].unit) for figure in question.figures),
    ]
    notes = []
    if len(rows) > panel.limit or answer.more:
        notes.append(f"the first {len(shown)} of {len(rows)}{' or more' if answer.more else ''}")
    return replace(made, columns=columns, rows=shown, notes=notes)


def mistakes(panel: Panel) -> Iterable[str]:
    question = _question(panel)
    if not question.figures:
        yield f"no figure is asked for; choose from {', '.join(FIGURES)}"
    for figure in question.figures:
        if figure not in FIGURES:
            yield _unknown("figure", figure, FIGURES)
    if question.by and not question.by.startswith("@") and question.by not in aggregates.KEYS:
        yield f"{_unknown('key', question.by, aggregates.KEYS)}; an attribute is written @{question.by}"
    if question.by == "@":
        yield "the attribute has no name; write @name"
    if question.compare and panel.view != "stat":
        yield "only a stat compares with the period before"
    yield from as_sql.refused(question.filter)


def _unknown(what: str, given: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(given, names, 1)
    return f"there is no {what} {given!r}; {f'did you mean {near[0]}?' if near else 'choose from ' + ', '.join(names)}"


KIND = Kind(needs, shape, mistakes, ("line", "stat", "bars", "table"))
