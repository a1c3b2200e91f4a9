"""The operations of agents: the slowest, and what became slower."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from clew.model.dashboards.panel import Operations, Panel
from clew.observe.query.aggregates import Profile, Profiles, profiles
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, address, joined, term
from clew.observe.query.dashboards.period import Period
from clew.observe.store.store import Store

MOST = 1000
"""Operations that are compared: the most frequent."""
ENOUGH = 5
"""Spans from which on a p95 is compared with that of before."""


def ask(store: Store, filter: str) -> Profiles:
    return profiles(store, filter, limit=MOST)


def _question(panel: Panel) -> Operations:
    assert isinstance(panel.question, Operations)
    return panel.question


def _need(asked: Asked, filter: str, period: Period | None = None) -> Need:
    return Need(ask, (asked.within(filter, period),))


def needs(panel: Panel, asked: Asked) -> list[Need]:
    question = _question(panel)
    now = _need(asked, question.filter)
    return [now, _need(asked, question.filter, asked.period.before)] if question.order == "regression" else [now]


_ORDERS: dict[str, Callable[[Profile], float]] = {
    "slowest": lambda one: -(one.p95Latency or 0),
    "busiest": lambda one: -one.count,
    "failing": lambda one: -one.errorRate,
}


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    question = _question(panel)
    answers: list[Profiles] = [found[need] for need in needs(panel, asked)]
    filter = asked.within(question.filter)
    made = Answer(
        panel.id,
        provenance="Spans by agent and name that start in the period; percentiles are of those that have ended.",
        filter=filter,
        api=address("profiles", filter=filter, limit=MOST),
        sql=_as_sql(question, asked),
        notes=[f"only the {MOST} most frequent operations"] if answers[0].more else [],
    )
    if question.order == "regression":
        return _regressions(panel, asked, answers[0], answers[1], made)
    columns = [
        Column("operation"),
        Column("agent"),
        Column("Spans", "count"),
        Column("Per minute", "per_minute"),
        Column("Failed share", "share"),
        *(Column(name, "ms") for name in ("p50", "p95", "p99")),
    ]
    ranked = sorted(answers[0].profiles, key=_ORDERS[question.order])
    minutes = asked.period.minutes()
    rows = [
        Row(
            [one.operation, one.agent, one.count, one.count / minutes, one.errorRate, one.p50Latency, one.p95Latency, one.p99Latency],
            filter=_behind(question, asked, one),
        )
        for one in ranked[: panel.limit]
    ]
    return replace(made, columns=columns, rows=rows)


def _behind(question: Operations, asked: Asked, one: Profile) -> str:
    return joined(question.filter, asked.filter, term("agent", one.agent), term("name", one.operation))


def _regressions(panel: Panel, asked: Asked, now: Profiles, before: Profiles, made: Answer) -> Answer:
    question = _question(panel)
    known = {(one.agent, one.operation): one for one in before.profiles}
    changed = []
    for one in now.profiles:
        was = known.get((one.agent, one.operation))
        if was is None or min(one.count, was.count) < ENOUGH or not was.p95Latency or one.p95Latency is None:
            continue
        changed.append((one.p95Latency / was.p95Latency - 1, one, was))
    changed.sort(key=lambda row: (-row[0], row[1].operation))
    columns = [
        Column("operation"),
        Column("agent"),
        Column("Change of p95", "share"),
        Column("p95 now", "ms"),
        Column("p95 before", "ms"),
        Column("Failed now", "share"),
        Column("Failed before", "share"),
        Column("Spans now", "count"),
        Column("Spans before", "count"),
    ]
    rows = [
        Row(
            [one.operation, one.agent, change, one.p95Latency, was.p95Latency, one.errorRate, was.errorRate, one.count, was.count],
            filter=_behind(question, asked, one),
        )
        for change, one, was in changed[: panel.limit]
        if change > 0
    ]
    notes = [*made.notes, f"{len(changed)} operations were compared"] if now.profiles else made.notes
    return replace(made, columns=columns, rows=rows, notes=notes)


def _as_sql(question: Operations, asked: Asked) -> str:
    return "\n".join(
        [
            "SELECT name, multiIf(spans.agent != '', spans.agent, kind = 'agent', name, inherited) AS by_agent, count() AS spans,",
            "    quantileExact(0.5)(duration_ns) / 1e6 AS p50_ms, quantileExact(0.95)(duration_ns) / 1e6 AS p95_ms,",
            "    quantileExact(0.99)(duration_ns) / 1e6 AS p99_ms, countIf(status = 'error') / count() AS error_rate",
            f"FROM (SELECT * FROM spans WHERE {as_sql.within(question.filter, asked)}) AS spans",
            "LEFT JOIN (SELECT trace_id, span_id, agent AS inherited FROM settled FINAL WHERE agent != '') AS above USING (trace_id, span_id)",
            "GROUP BY by_agent, name ORDER BY p95_ms DESC",
        ]
    )


def mistakes(panel: Panel) -> Iterable[str]:
    yield from as_sql.refused(_question(panel).filter)


KIND = Kind(needs, shape, mistakes, ("table",))
