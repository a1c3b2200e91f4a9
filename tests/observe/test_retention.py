"""What is old goes by whole days of arrival, out of every table, and what stays is as if the rest had never been."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from clew.observe.ingest.quarantine import signal_named
from clew.observe.query.traces import contents
from clew.observe.store import retention, schema
from clew.observe.store.removed import removed
from clew.observe.store.retention import DAILY, KEPT, Keep, days, plan, prune
from clew.observe.store.settle import settle
from clew.observe.store.store import Store
from clew.wire.check import check_json, stamp_json

DAY = 86_400
NOON = 20_000 * DAY + DAY // 2
"""2024-10-04T12:00:00Z."""

MONTH = Keep(30, 30, 30, 0)
FOR_EVER = Keep(0, 0, 0, 0)


def take(store: Store, signal: str, request: dict[str, Any], *, days_ago: float) -> None:
    """Stores a request as it would have been, had it arrived then."""
    body = stamp_json(check_json(json.dumps(request).encode()).body, int((NOON - days_ago * DAY) * 1e9), "test")
    store.insert(signal_named(signal), "json", body)
    settle(store)


def rows(store: Store) -> dict[str, int]:
    tables = [table for tables in DAILY.values() for table in tables]
    return {
        table: store.value(f"SELECT count() FROM {table}") for table in tables if table not in ("processes", "counted_totals", "sketches")
    }


def point(time_s: int) -> dict[str, Any]:
    data = {"dataPoints": [{"timeUnixNano": str(time_s * 10**9), "asDouble": 1.0}]}
    return {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"metrics": [{"name": "m", "gauge": data}]}]}]}


def test_every_table_that_keeps_records_is_partitioned_by_day_and_known_to_retention() -> None:
    partitioned: set[str] = set()
    undated: set[str] = set()
    for _, _, statements in schema.files():
        for statement in statements:
            if "MergeTree" in statement:
                table = re.findall(r"CREATE TABLE IF NOT EXISTS (\w+)", statement)[0]
                (partitioned if "\nPARTITION BY " in statement else undated).add(table)
    assert partitioned == {table for tables in DAILY.values() for table in tables}
    assert undated == KEPT.keys()


def test_a_day_that_is_over_is_gone_from_every_table_and_later_ones_are_untouched(store: Store, otlp: Any) -> None:
    content = {"gen_ai.input.messages": "a question", "clew.span.kind": "llm", "gen_ai.usage.input_tokens": 5}
    for days_ago, trace in ((31.6, 1), (30.4, 2), (0.0, 3)):
        parent = {"clew.span.kind": "agent", "gen_ai.agent.name": "planner", "gen_ai.usage.input_tokens": 5}
        take(store, "traces", otlp.traces(otlp.span(1, trace, 0, parent), otlp.span(2, trace, 1, content)), days_ago=days_ago)
        take(store, "traces", otlp.traces(otlp.span(2, trace, 1, content | {"again": trace})), days_ago=days_ago)
        take(store, "traces", otlp.traces(otlp.span(3, trace, 1, status={"code": 2, "message": "no"})), days_ago=days_ago)
        take(store, "logs", otlp.logs(otlp.log(f"log {trace}")), days_ago=days_ago)
        take(store, "metrics", point(trace), days_ago=days_ago)
    store.insert_rows("processes", ["process", "ended_ns"], [("p", int((NOON - 31.6 * DAY) * 1e9)), ("q", int(NOON * 1e9))])
    before = rows(store)
    assert min(before.values()) >= 3
    assert prune(store, FOR_EVER, now_s=NOON).dropped == []
    would = prune(store, MONTH, now_s=NOON, dry_run=True)
    assert rows(store) == before
    done = prune(store, MONTH, now_s=NOON)
    assert [(day.signal, day.day, day.reason) for day in done.dropped] == [
        (signal, "2024-09-02", "expired") for signal in ("logs", "metrics", "traces")
    ]
    assert [day.bytes for day in would.dropped] == [day.bytes for day in done.dropped]
    assert min(day.bytes for day in done.dropped) > 0
    assert store.query("SELECT DISTINCT trace_id FROM spans ORDER BY 1").result_rows == [(otlp.trace_id(2),), (otlp.trace_id(3),)]
    for table in ("traces", "settled", "failures", "conflicts", "payloads"):
        assert store.value(f"SELECT uniqExact(trace_id) FROM {table}") == 2, table
    assert store.query("SELECT process FROM processes").result_rows == [("q",)]
    assert store.value("SELECT count() FROM logs") == store.value("SELECT count() FROM points") == 2
    assert store.query("SELECT DISTINCT agent FROM model_calls").result_rows == [("planner",)]
    assert store.value("SELECT count() FROM model_calls") == 2
    counted = removed(store.data_dir)
    assert {signal: set(reasons) for signal, reasons in counted.records.items()} == {s: {"expired"} for s in ("traces", "logs", "metrics")}
    assert counted.oldest == dict.fromkeys(("traces", "logs", "metrics"), "2024-09-04")
    assert prune(store, MONTH, now_s=NOON).dropped == []
    assert removed(store.data_dir).records == counted.records
    prune(store, MONTH, now_s=NOON + 2 * DAY)
    assert removed(store.data_dir).records["logs"] == {"expired": 2}  # it only grows
    assert store.value("SELECT count() FROM logs") == 1


def test_an_old_run_that_is_imported_today_stays(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1))))  # it started in 2025
    assert prune(store, MONTH).dropped == []
    assert store.value("SELECT count() FROM spans") == 1


def test_a_trace_over_midnight_loses_its_first_spans_first_and_the_rest_is_whole_and_settled_again(store: Store, otlp: Any) -> None:
    agent = {"clew.span.kind": "agent", "gen_ai.agent.name": "planner"}
    call = {"clew.span.kind": "llm", "gen_ai.usage.input_tokens": 5, "gen_ai.input.messages": "the same words"}
    take(store, "traces", otlp.traces(otlp.span(1, 1, 0, agent), otlp.span(3, 1, 2, call)), days_ago=31.6)
    take(store, "traces", otlp.traces(otlp.span(2, 1, 1, call)), days_ago=30.4)
    calls = "SELECT span_id, agent FROM model_calls"
    assert store.query(calls).result_rows == [(otlp.span_id(3), "planner")]  # span 2 repeats what span 3 used
    prune(store, MONTH, now_s=NOON)
    assert store.query(calls).result_rows == [(otlp.span_id(2), "")]
    assert contents(store, otlp.trace_id(1), otlp.span_id(2)) == {"gen_ai.input.messages": "the same words"}


def test_beyond_the_size_cap_the_oldest_days_go_and_never_today() -> None:
    have = [retention.Day("traces", f"2024-10-0{number}", 10, 1000) for number in (1, 2, 3, 4)]
    table: tuple[tuple[int, list[str]], ...] = (
        (10_000, []),
        (3_000, ["2024-10-01"]),
        (2_999, ["2024-10-01", "2024-10-02"]),
        (1, ["2024-10-01", "2024-10-02", "2024-10-03"]),
    )
    for cap, gone in table:
        pruned = plan(have, Keep(0, 0, 0, cap), now_s=NOON, total_bytes=4000)
        assert ([day.day for day in pruned.dropped], {day.reason for day in pruned.dropped}) == (
            gone,
            {"over the size cap"} if gone else set(),
        )
    assert pruned.left_over == 999
    expired = plan(have, Keep(2, 0, 0, 3000), now_s=NOON, total_bytes=4000)
    assert [(day.day, day.reason) for day in expired.dropped] == [("2024-10-01", "expired")]


@pytest.mark.parametrize("table", ["span_records", "log_records"])
def test_a_run_of_retention_that_was_broken_off_is_finished_by_the_next(
    table: str, store: Store, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(store, "traces", otlp.traces(otlp.span(1, 1)), days_ago=40)
    take(store, "logs", otlp.logs(otlp.log("x")), days_ago=40)
    command = store.command

    def fail(sql: str, parameters: Any = None) -> None:
        if sql.startswith(f"ALTER TABLE {table} "):
            raise ZeroDivisionError
        command(sql, parameters)

    monkeypatch.setattr(store, "command", fail)
    with pytest.raises(ZeroDivisionError):
        prune(store, MONTH, now_s=NOON)
    monkeypatch.undo()
    prune(store, MONTH, now_s=NOON)
    assert days(store) == []
    assert removed(store.data_dir).records == {"traces": {"expired": 1}, "logs": {"expired": 1}}
