"""Errors that are alike, with first and last seen and whom they befell."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from clew.model.dashboards.panel import Failures, Panel
from clew.observe.query.dashboards import as_sql
from clew.observe.query.dashboards.answer import Answer, Column, Row
from clew.observe.query.dashboards.asking import Asked, Found, Kind, Need, joined, term
from clew.observe.query.filter import parse
from clew.observe.query.search import condition_of
from clew.observe.query.window import SPANS_WITHIN, TRACES_WITHIN, window
from clew.observe.store.store import Store

MOST: Final = 200
AGENTS: Final = 5
"""Names of agents of one row."""


def ask(store: Store, filter: str) -> list[dict[str, Any]]:
    """Failed spans by type of the error and name, with the message of the newest."""
    now = datetime.now(UTC)
    condition = condition_of(store, joined(filter, "status:error"), now=now)
    of_agent = "multiIf(s.agent != '', toString(s.agent), s.kind = 'agent', toString(s.name), toString(a.above))"
    above = f"(SELECT trace_id, span_id, agent AS above FROM settled FINAL WHERE agent != '' AND {TRACES_WITHIN})"
    return store.rows(
        "SELECT toString(error_type) AS type, toString(name) AS place, count() AS spans, uniqExact(trace_id) AS runs, min(start_ns) AS first, "
        f"max(start_ns) AS last, arraySort(groupUniqArrayIf({AGENTS + 1})({of_agent}, {of_agent} != '')) AS agents, "
        "argMax(status_message, start_ns) AS said "
        f"FROM (SELECT * FROM span_records FINAL WHERE {SPANS_WITHIN} AND {condition.sql}) AS s LEFT ANY JOIN {above} AS a USING (trace_id, span_id) "
        f"GROUP BY type, place ORDER BY spans DESC, last DESC LIMIT {MOST + 1}",
        {**window(parse(filter), now).parameters, **condition.parameters},
    )


def _filter(panel: Panel) -> str:
    assert isinstance(panel.question, Failures)
    return panel.question.filter


def needs(panel: Panel, asked: Asked) -> list[Need]:
    return [Need(ask, (asked.within(_filter(panel)),))]


def shape(panel: Panel, asked: Asked, found: Found) -> Answer:
    groups: list[dict[str, Any]] = found[needs(panel, asked)[0]]
    filter = joined(_filter(panel), asked.filter, "status:error")
    rows = [
        Row(
            [
                one["type"] or "(no type)",
                one["place"],
                one["said"][:300],
                one["spans"],
                one["runs"],
                one["first"],
                one["last"],
                _agents(one["agents"]),
            ],
            filter=joined(filter, term("error", one["type"]), term("name", one["place"])),
        )
        for one in groups[: panel.limit]
    ]
    more = f"{len(groups)}{' or more' if len(groups) > MOST else ''}"
    return Answer(
        panel.id,
        columns=[
            Column("type"),
            Column("where"),
            Column("newest message"),
            Column("Spans", "count"),
            Column("Runs", "count"),
            Column("First seen", "time", "In the period"),
            Column("Last seen", "time"),
            Column("agents"),
        ],
        rows=rows,
        provenance="Spans that start in the period and failed, by type of the error and name of the span.",
        filter=joined(filter, asked.period.filter),
        sql="\n".join(
            [
                "SELECT error_type, name, count() AS spans, uniqExact(trace_id) AS runs, min(start_time) AS first_seen, max(start_time) AS last_seen,",
                "    groupUniqArrayIf(agent, agent != '') AS agents, argMax(status_message, start_ns) AS newest_message",
                f"FROM spans WHERE status = 'error' AND {as_sql.within(_filter(panel), asked)}",
                "GROUP BY error_type, name ORDER BY spans DESC",
            ]
        ),
        notes=[f"the first {len(rows)} of {more}"] if len(groups) > len(rows) else [],
    )


def _agents(agents: list[str]) -> str:
    return ", ".join(agents[:AGENTS]) + (" …" if len(agents) > AGENTS else "")


def mistakes(panel: Panel) -> Iterable[str]:
    yield from as_sql.refused(_filter(panel))


KIND = Kind(needs, shape, mistakes, ("table",))
