"""Errors that are alike, with first and last seen and whom they befell: those of ``GET /api/v1/errors``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from clew.model.dashboards.panel import Failures, Panel
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, address, joined, term
from clew.observe.query.errors import groups
from clew.observe.store.store import Store

MOST: Final = 200
AGENTS: Final = 5
"""Names of agents of one row."""


def ask(store: Store, filter: str) -> groups.Errors:
    return groups.errors(store, filter, limit=MOST, bars=1)


def _filter(panel: Panel) -> str:
    assert isinstance(panel.question, Failures)
    return panel.question.filter


def needs(panel: Panel, asked: Asked) -> list[Need]:
    return [Need(ask, (asked.within(_filter(panel)),))]


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    answer: groups.Errors = found[needs(panel, asked)[0]]
    filter = joined(_filter(panel), asked.filter, "status:error")
    there = [one for one in answer.errors if one.count]
    rows = [
        Row(
            [
                one.type or "(no type)",
                one.place or one.kind,
                one.message,
                one.state or "",
                one.count,
                one.runs,
                one.first_ns,
                one.last_ns,
                ", ".join(one.agents[:AGENTS]) + (" …" if len(one.agents) > AGENTS else ""),
            ],
            filter=joined(filter, term("fingerprint", one.fingerprint)),
        )
        for one in there[: panel.limit]
    ]
    within = asked.within(_filter(panel))
    return Answer(
        panel.id,
        columns=[
            Column("type"),
            Column("where"),
            Column("message"),
            Column("state", hint="Beside the period before"),
            Column("Failures", "count"),
            Column("Runs", "count"),
            Column("First seen", "time", "Also before the period, as far as was looked"),
            Column("Last seen", "time"),
            Column("agents"),
        ],
        rows=rows,
        provenance="Failures where they began, by fingerprint: class, message without what varies, kind and place.",
        filter=joined(filter, asked.period.filter),
        api=address("errors", filter=within),
        sql="\n".join(
            [
                "SELECT error_type, name, count() AS spans, uniqExact(trace_id) AS runs, min(start_time) AS first_seen, max(start_time) AS last_seen,",
                "    groupUniqArrayIf(agent, agent != '') AS agents, argMax(status_message, start_ns) AS newest_message",
                f"FROM spans WHERE status = 'error' AND {as_sql.within(_filter(panel), asked)}",
                "GROUP BY error_type, name ORDER BY spans DESC  -- every failed span, by class and name",
            ]
        ),
        notes=[f"the first {len(rows)} of {answer.groups}"] if answer.groups > len(rows) else [],
    )


def mistakes(panel: Panel) -> Iterable[str]:
    yield from as_sql.refused(_filter(panel))


KIND = Kind(needs, shape, mistakes, ("table",))
