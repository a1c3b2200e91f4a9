"""What was spent: by a key, and as burn rate and projection."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from clew.model.dashboards.panel import Costs, Panel, Spend
from clew.observe.query import costs
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row, Value
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, address, joined, term
from clew.observe.query.dashboards.period import HOUR_NS, MINUTE_NS
from clew.observe.query.search import FIELDS
from clew.observe.store.store import Store

MOST = 1000


def ask(store: Store, filter: str, by: str) -> costs.Costs:
    return costs.costs(store, by=by, limit=MOST, where=filter)


def _question(panel: Panel) -> Costs:
    assert isinstance(panel.question, Costs)
    return panel.question


def _chosen(panel: Panel, asked: Asked) -> str:
    keys = _question(panel).by
    chosen = asked.choices.get(panel.id, "")
    return chosen if chosen in keys else keys[0]


def needs(panel: Panel, asked: Asked) -> list[Need]:
    return [Need(ask, (asked.within(_question(panel).filter), _chosen(panel, asked)))]


_COLUMNS = (
    Column("Cost", "usd", "Reported by the provider, else tokens × price"),
    Column("Model calls", "count"),
    Column("Input tokens", "tokens", "Cached ones included"),
    Column("Cached", "tokens", "Input tokens read from the provider's cache"),
    Column("Output tokens", "tokens", "Reasoning included"),
    Column("Reported", "usd", "What of it the provider reported"),
    Column("Unpriced calls", "count", "No price is known for their model: not in the cost"),
    Column("Calls without usage", "count", "What they cost is not known: not in the cost"),
)


def _cells(one: costs.Cost) -> list[float | int | None]:
    return [
        one.partial_cost_usd,
        one.calls,
        one.input_tokens,
        one.cache_read_tokens,
        one.output_tokens,
        one.reported_usd,
        one.unpriced_calls,
        one.calls - one.calls_with_usage,
    ]


def _why(one: costs.Cost) -> str:
    said = [f"No price is known for {', '.join(one.unpriced_models)}." if one.unpriced_models else ""]
    said.append(f"{one.calls - one.calls_with_usage} of {one.calls} calls recorded no usage." if one.calls_with_usage < one.calls else "")
    return " ".join(filter(None, said))


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    question, by = _question(panel), _chosen(panel, asked)
    answer: costs.Costs = found[needs(panel, asked)[0]]
    filter = asked.within(question.filter)
    rows = [
        Row(
            [_named(one, by), *_cells(one)],
            [1] if one.cost_usd is None else [],
            _why(one),
            filter=_behind(question, asked, by, one.key),
            page="/runs" if by in ("session", "run") else "/search",
        )
        for one in answer.rows[: panel.limit]
    ]
    total = answer.total
    if len(answer.rows) > 1 and total.calls:
        rows.append(
            Row(
                ["in all", *_cells(total)], [1] if total.cost_usd is None else [], _why(total), filter=joined(question.filter, asked.filter)
            )
        )
    shown = min(len(answer.rows), panel.limit)
    return Answer(
        panel.id,
        columns=[Column(by), *_COLUMNS],
        rows=rows if total.calls else [],
        provenance=f"Model calls that start in the period. Prices: {answer.prices}.",
        filter=filter,
        api=address("costs", filter=filter, by=by),
        sql=_as_sql(question.filter, asked, by),
        notes=[f"the first {shown} of {len(answer.rows)}{' or more' if answer.more else ''}"]
        if shown < len(answer.rows) or answer.more
        else [],
        choices=list(question.by),
        chosen=by,
    )


def _named(one: costs.Cost, by: str) -> str:
    if not one.key:
        return f"(no {by})"
    return f"{one.key[:10]} {one.label}" if by == "commit" else f"{one.label} {one.key[:8]}" if one.label else one.key


def _behind(question: Costs, asked: Asked, by: str, key: str) -> str | None:
    if by == "session" and key:
        return term("session", key)
    if by == "run":
        return term("run", key)
    return joined(question.filter, asked.filter, term(by, key)) if by in FIELDS else None


def _as_sql(filter: str, asked: Asked, by: str) -> str:
    key, label, table = costs.source_of(
        by, f"(trace_id, span_id) IN (SELECT trace_id, span_id FROM spans WHERE {as_sql.within(filter, asked)})"
    )
    return "\n".join(
        [
            f"SELECT {key} AS by_{by}, {label} AS label, sum(ifNull(cost_usd, 0)) AS partial_cost_usd, countIf(isNull(cost_usd)) AS calls_without_cost,",
            "    count() AS calls, sum(input_tokens) AS input, sum(cache_read_tokens) AS cached, sum(output_tokens) AS output,",
            "    countIf(cost_source = 'unpriced') AS unpriced_calls, countIf(usage_source = 'missing') AS calls_without_usage",
            f"FROM {table}",
            f"GROUP BY by_{by} ORDER BY partial_cost_usd DESC",
        ]
    )


def mistakes(panel: Panel) -> Iterable[str]:
    question = _question(panel)
    if not question.by:
        yield f"no key is given; choose from {', '.join(costs.KEYS)}"
    for key in question.by:
        if key not in costs.KEYS:
            yield f"cost cannot be shown by {key!r}; choose from {', '.join(costs.KEYS)}"
    yield from as_sql.refused(question.filter)


COSTS = Kind(needs, shape, mistakes, ("table",))


# --- burn rate and projection ---------------------------------------------------------------------------------------------------------------


def _month(now_ns: int) -> tuple[datetime, float]:
    """The first moment of the month, and the nanoseconds that are left of it."""
    now = datetime.fromtimestamp(now_ns / 1e9, UTC)
    first = datetime(now.year, now.month, 1, tzinfo=UTC)
    return first, first.timestamp() * 1e9 + monthrange(now.year, now.month)[1] * 24 * HOUR_NS - now_ns


def _spend(panel: Panel) -> Spend:
    assert isinstance(panel.question, Spend)
    return panel.question


def _needs_of_spend(panel: Panel, asked: Asked) -> list[Need]:
    filter = _spend(panel).filter
    first, _ = _month(asked.period.now_ns)
    # By model as the table beside it asks at first: one question for both.
    return [
        Need(ask, (asked.within(filter), "model")),
        Need(ask, (joined(filter, asked.filter, f"start:>={first:%Y-%m-%d}"), "model")),
    ]


def _shape_of_spend(panel: Panel, asked: Asked, found: Found) -> Answer:
    filter = _spend(panel).filter
    now, month = (found[need].total for need in _needs_of_spend(panel, asked))
    first, left_ns = _month(asked.period.now_ns)
    behind = joined(filter, asked.filter)
    within = asked.within(filter)
    made = Answer(
        panel.id,
        provenance=f"Model calls that start in the period, and since {first:%-d %B} (UTC). Prices: {found[_needs_of_spend(panel, asked)[0]].prices}.",
        filter=within,
        api=address("costs", filter=within),
        sql=_as_sql(filter, asked, "model"),
    )
    if not now.calls and not month.calls:
        return made
    hours = max(asked.period.elapsed_ns, MINUTE_NS) / HOUR_NS
    rate = now.partial_cost_usd / hours
    unknown, unknown_month = now.cost_usd is None, month.cost_usd is None
    is_over = asked.period.last_ns < asked.period.now_ns
    projected = (
        Value("By the month's end", "usd", None, hint="The period is over: its rate foretells nothing.")
        if is_over
        else Value(
            "By the month's end",
            "usd",
            month.partial_cost_usd + rate * left_ns / HOUR_NS,
            unknown or unknown_month,
            is_estimated=True,
            hint=f"This month so far, and the rate of the period for the {left_ns / HOUR_NS / 24:.1f} days that are left. {_why(month)}".strip(),
        )
    )
    values = [
        Value("In the period", "usd", now.partial_cost_usd, unknown, hint=_why(now), filter=behind),
        Value("Burn rate", "usd_per_hour", rate, unknown, hint=f"Over {hours:.1f} h. {_why(now)}".strip()),
        Value("This month so far", "usd", month.partial_cost_usd, unknown_month, hint=_why(month)),
        projected,
        _doubt("Unpriced calls", now.unpriced_calls, "Every model that was called has a price.", now, behind),
        _doubt("Calls without usage", now.calls - now.calls_with_usage, "Every call recorded its usage.", now, behind),
    ]
    return replace(made, values=values)


def _doubt(title: str, calls: int, none: str, of: costs.Cost, filter: str) -> Value:
    """Calls whose cost is not known."""
    return Value(title, "count", calls, hint=_why(of) if calls else none, filter=filter, level="warning" if calls else None)


def _mistakes_of_spend(panel: Panel) -> Iterable[str]:
    yield from as_sql.refused(_spend(panel).filter)


SPEND = Kind(_needs_of_spend, _shape_of_spend, _mistakes_of_spend, ("stat",))
