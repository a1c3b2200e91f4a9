"""SQL generated from the catalogue: the figures that spans give, as the processor of record/metrics/derive.py gives them in Python."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from clew.model.catalogue import CATALOGUE
from clew.model.catalogue.figures import LEAST_SLOT, STEPS
from clew.model.catalogue.metric import COST, COST_SOURCE, MODEL_CALL, NAME, OVERRIDE, STATUS, Derived, Label, Metric
from clew.model.dialects import COLUMNS
from clew.observe.store import pricing
from clew.observe.store.normalise import literal

_COLUMNS: Final = {column.keys[0]: column for column in COLUMNS}

DERIVED: Final[tuple[tuple[Metric, Derived], ...]] = tuple([(metric, row) for metric in CATALOGUE for row in metric.derived])
"""Every derivation; its number is its place here."""
KINDS: Final = sorted({row.kind for _, row in DERIVED} - {MODEL_CALL})

SPAN: Final = "sipHash64(trace_id), sipHash64(trace_id, span_id)"
"""What a span is called among those that were counted."""

COUNTABLE: Final = (
    f"end_ns > 0 AND (kind IN ({', '.join(literal(kind) for kind in KINDS)}) OR isNotNull(input_tokens) OR isNotNull(output_tokens))"
)


def _text(name: str) -> str:
    """What stands under an attribute's name, as text; '' when nothing does."""
    if name == STATUS:
        return "toString(status)"
    if name == NAME:
        return "toString(name)"
    if name == COST_SOURCE:
        return "cost_source"
    column = _COLUMNS.get(name)
    if column is None:
        return f"attributes[{literal(name)}]"
    if column.type == "flag":
        return f"if({column.name}, 'true', 'false')"
    return f"toString({column.name})" if column.type == "text" else f"ifNull(toString({column.name}), '')"


def _number(name: str) -> str:
    """The same as a number; NULL when there is none."""
    if name == COST:
        return "cost_usd"
    column = _COLUMNS.get(name)
    return f"toFloat64({column.name})" if column is not None and column.type in ("count", "usd") else f"toFloat64OrNull({_text(name)})"


def _array(texts: tuple[str, ...] | list[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"


def _label(label: Label) -> str:
    """A label's value, as Label.read and the order of its attributes give it."""
    cases = []
    for name in label.of:
        text = _text(name)
        shown = f"transform({text}, {_array(list(label.map))}, {_array(list(label.map.values()))}, {text})" if label.map else text
        fits = f"{shown} IN ({', '.join(map(literal, label.values))})" if label.values else f"{shown} != ''"
        cases.append(f"{text} != '' AND {fits}, {shown}")
    return f"multiIf({', '.join(cases)}, {literal(label.default)})" if cases else literal(label.default)


def _labels(metric: Metric, row: Derived) -> str:
    values = [literal(row.const[label.name]) if label.name in row.const else _label(label) for label in metric.labels]
    return f"[{', '.join(values)}]" if values else "emptyArrayString()"


def _conditions(row: Derived) -> list[str]:
    found = []
    for name, values in row.where.items():
        found.append(f"{_text(name)} IN ({', '.join(map(literal, values))})" if values else f"{_text(name)} != ''")
    found += [f"{_text(name)} NOT IN ({', '.join(map(literal, values))})" for name, values in row.unless.items()]
    return found


def _value(metric: Metric, row: Derived) -> str:
    if row.take == "count":
        return "1."
    if row.take == "duration":
        figure = f"(greatest(end_ns, start_ns) - start_ns) / 1e9 * {row.scale}"
    else:
        numbers = [_number(name) for name in row.attributes]
        known = " OR ".join(f"isNotNull({number})" for number in numbers)
        figure = f"if({known}, {' + '.join(f'ifNull({number}, 0)' for number in numbers)}, NULL) * {row.scale}"
    if row.attribute is not None:
        return figure
    return f"ifNull(toFloat64OrNull(attributes[{literal(OVERRIDE + metric.name)}]), {figure})"


def _slot(metric: Metric) -> str:
    """Where a histogram or summary counts figure ``v``: figures.slot_of."""
    if metric.type == "histogram":
        return f"arrayCount(b -> b < v, [{', '.join(map(str, map(float, metric.buckets)))}])"
    if metric.type == "summary":
        return f"if(v > 0, toInt32(ceil(log2(v) * {STEPS})), {LEAST_SLOT})"
    return "0"


def _figure(number: int, metric: Metric, row: Derived) -> str:
    """The figure that a span gives, as an array of none or one."""
    kind = "is_call" if row.kind == MODEL_CALL else f"kind = {literal(row.kind)}" + (" AND NOT shadowed" if row.kind == "llm" else "")
    condition = " AND ".join([kind, *_conditions(row)])
    made = f"arrayMap(v -> tuple(toUInt16({number}), {_labels(metric, row)}, v, toInt32({_slot(metric)})), arrayFilter(v -> isFinite(v), "
    return f"if({condition}, {made}[ifNull(toFloat64({_value(metric, row)}), nan)])), [])"


@cache
def _figures(kinds: frozenset[str]) -> str:
    rows = [_figure(number, metric, row) for number, (metric, row) in enumerate(DERIVED) if row.take != "active" and row.kind in kinds]
    return ",\n    ".join(rows)


def kinds(where: str) -> str:
    """The SELECT of the kinds of the ended spans that match, MODEL_CALL among them: only what these give need be worked out."""
    return f"""SELECT arrayJoin(arrayDistinct(arrayConcat([toString(kind)], if(kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens), [{literal(MODEL_CALL)}], [])))) AS found
FROM span_records WHERE {where} AND {COUNTABLE} GROUP BY found"""


def counted(where: str, settled: str, kinds: frozenset[str] = frozenset([*KINDS, MODEL_CALL])) -> str:
    """The SELECT of figures of the ended spans that match: (number of the derivation, labels, slot, count, sum, and the latest figure's trace,
    value and time).

    :param where: a condition on span_records; :param settled: one on settled
    :param kinds: those that occur: working out a figure costs even where no span gives it
    """
    return f"""SELECT figure.1 AS number, figure.2 AS labels, figure.4 AS slot, count() AS count, sum(figure.3) AS sum,
    argMax(trace_id, end_ns) AS exemplar, argMax(figure.3, end_ns) AS exemplar_value, max(end_ns) AS exemplar_ns
FROM (
    SELECT trace_id, end_ns, arrayJoin(arrayConcat(
    {_figures(kinds)})) AS figure
    FROM (
        SELECT *, {pricing.COST_USD} AS cost_usd, {pricing.COST_SOURCE} AS cost_source,
            NOT shadowed AND NOT {pricing.REFUSED} AND (kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AS is_call
        FROM (
            SELECT *, {pricing.charged()} AS charged_tokens, {pricing.usd_per_million()} AS usd_per_million, {pricing.computed_cost()} AS computed_cost_usd
            FROM (SELECT * FROM span_records FINAL WHERE {where} AND {COUNTABLE}) AS s
            LEFT JOIN (SELECT trace_id, span_id, shadowed FROM settled FINAL WHERE {settled}) AS settled USING (trace_id, span_id)
            LEFT JOIN (SELECT provider, request_model, response_model, flat, rules FROM prices FINAL) AS prices
                USING (provider, request_model, response_model)
        )
    )
)
GROUP BY number, labels, slot"""


_HAS_USAGE: Final = "(isNotNull(input_tokens) OR isNotNull(output_tokens))"


def _rows_of(metric: Metric) -> list[Derived]:
    """The derivations of a metric from spans that have ended."""
    return [row for row in metric.derived if row.take != "active"]


def _may_give(rows: list[Derived]) -> str:
    """A condition on span_records: the ended spans that may give a figure, as far as they tell themselves."""

    def of(row: Derived) -> str:
        kind = f"(kind = 'llm' OR {_HAS_USAGE})" if row.kind == MODEL_CALL else f"kind = {literal(row.kind)}"
        told = row._replace(where=_without(row.where, COST_SOURCE), unless=_without(row.unless, COST_SOURCE))
        return " AND ".join([kind, *_conditions(told)])

    return f"end_ns > 0 AND ({' OR '.join(dict.fromkeys(map(of, rows)))})"


def _without(named: Mapping[str, tuple[str, ...]], name: str) -> dict[str, tuple[str, ...]]:
    return {key: values for key, values in named.items() if key != name}


def giving(metric: Metric, where: str) -> str:
    """The SELECT of one row when spans may give figures of a metric that is not only measured, else of none. It reads no more than it must,
    where of_metric() takes the versions of every span of the time apart.

    :param where: a condition on span_records
    """
    return f"SELECT 1 FROM span_records WHERE {where} AND {_may_give(_rows_of(metric))} LIMIT 1"


def of_metric(metric: Metric, where: str, settled: str) -> str | None:
    """The SELECT of the figures that ended spans give of one metric: (trace_id, start_ns, labels, value, slot); None when it is measured only.

    :param where: a condition on span_records; :param settled: one on settled
    """
    rows = _rows_of(metric)
    if not rows:
        return None
    of_cost = any(COST in row.attributes for row in rows) or any(COST_SOURCE in label.of for label in metric.labels)
    of_calls = of_cost or any(row.kind in (MODEL_CALL, "llm") for row in rows)
    spans = f"(SELECT * FROM span_records FINAL WHERE {where} AND {_may_give(rows)}) AS s"
    if of_calls:
        spans += f" LEFT JOIN (SELECT trace_id, span_id, shadowed FROM settled FINAL WHERE shadowed AND {settled}) AS verdicts USING (trace_id, span_id)"
        spans = f"(SELECT *, NOT shadowed AND (kind = 'llm' OR {_HAS_USAGE}) AS is_call FROM {spans})"
    if of_cost:
        spans = (
            f"(SELECT *, {pricing.COST_USD} AS cost_usd, {pricing.COST_SOURCE} AS cost_source FROM (SELECT *, {pricing.charged()} AS charged_tokens, "
            f"{pricing.usd_per_million()} AS usd_per_million, {pricing.computed_cost()} AS computed_cost_usd FROM {spans} AS s "
            "LEFT JOIN (SELECT provider, request_model, response_model, flat, rules FROM prices FINAL) AS prices USING (provider, request_model, response_model)))"
        )
    figures = ", ".join([_figure(number, metric, row) for number, row in enumerate(rows)])
    return (
        "SELECT trace_id, start_ns, figure.2 AS labels, figure.3 AS value, figure.4 AS slot "
        f"FROM (SELECT trace_id, start_ns, arrayJoin(arrayConcat({figures})) AS figure FROM {spans})"
    )


_OPEN: Final = "end_ns = 0 AND start_ns >= {since:UInt64}"
_ACTIVE: Final = [(number, metric, row) for number, (metric, row) in enumerate(DERIVED) if row.take == "active"]

OPEN_TRACES: Final = f"""SELECT DISTINCT trace_id FROM span_records
WHERE {_OPEN} AND kind IN ({", ".join(sorted({literal(row.kind) for _, _, row in _ACTIVE}))})"""
"""The traces with spans that had not ended when they were sent, among them those that have ended since. The engine remembers where there are
none, as long as it is asked for the same ``since``."""


@cache
def active() -> str:
    """The SELECT of what is open in some ``traces``: (number of the derivation, labels, count)."""
    rows = [
        f"if(kind = {literal(row.kind)}{''.join(f' AND {condition}' for condition in _conditions(row))}, "
        f"[tuple(toUInt16({number}), {_labels(metric, row)})], [])"
        for number, metric, row in _ACTIVE
    ]
    return f"""SELECT figure.1 AS number, figure.2 AS labels, count() AS count
FROM (
    SELECT arrayJoin(arrayConcat({", ".join(rows)})) AS figure
    FROM (SELECT * FROM span_records WHERE {_OPEN} AND trace_id IN {{traces:Array(String)}} LIMIT 1 BY trace_id, span_id)
    WHERE process NOT IN (SELECT process FROM processes) AND (trace_id, span_id) NOT IN (
        SELECT trace_id, span_id FROM span_records WHERE end_ns > 0 AND start_ns >= {{since:UInt64}} AND trace_id IN {{traces:Array(String)}})
)
GROUP BY number, labels"""
