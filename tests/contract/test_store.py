"""What a store does, wherever its tables are: embedded, or on a ClickHouse server."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "zstandard")

CALL = {
    "openinference.span.kind": "LLM",
    "gen_ai.request.model": "gpt-4o-mini",
    "gen_ai.provider.name": "openai",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
    "llm.input_messages.0.message.role": "user",
    "llm.input_messages.0.message.content": "Which thread leads out of the labyrinth?",
    "output.value": "Ariadne's",
}


@pytest.fixture
def filled(store: Any, otlp: Any) -> Any:
    """Three runs: one with agents, a model call, a tool, a decision and an error; one sent twice with a correction; one in protobuf."""
    from clew.observe.ingest.files import import_file

    resource = {"service.name": "maze", "service.instance.id": "p1"}
    requests = [
        otlp.traces(
            otlp.span(1, 1, 0, {"openinference.span.kind": "AGENT", "gen_ai.agent.name": "theseus", "session.id": "s1"}),
            otlp.span(2, 1, 1, CALL),
            otlp.span(3, 1, 1, {"gen_ai.tool.name": "sword", "openinference.span.kind": "TOOL", "cut": 5, "sharp": True}),
            otlp.span(4, 1, 1, status={"code": 2, "message": "the Minotaur is awake"}),
            resource=resource,
        ),
        otlp.traces(otlp.span(5, 2, 0, CALL | {"gen_ai.usage.input_tokens": 5}), resource=resource),
        otlp.traces(otlp.span(5, 2, 0, CALL | {"gen_ai.usage.input_tokens": 2000}), resource=resource),
        otlp.logs(otlp.log("the door is open", {"door": 7}, traceId=otlp.trace_id(1), spanId=otlp.span_id(3), severityNumber=17)),
    ]
    lines = otlp.lines(*requests)
    otlp.take(store, lines)
    otlp.take(store, lines)
    binary = otlp.protobuf(
        otlp.traces(otlp.span(6, 3, 0, CALL | {"llm.model_name": "no-such-model", "gen_ai.request.model": "no-such-model"}))
    )
    import_file(store, io.BytesIO(otlp.frames([binary])), name="binary")
    return store


def plain(value: Any) -> Any:
    return json.loads(
        json.dumps(dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value, default=vars)
    )


def test_runs_calls_and_costs(filled: Any, otlp: Any) -> None:
    from clew.observe.query.costs import costs
    from clew.observe.query.runs import runs

    found = {run.run_id: run for run in runs(filled)}
    first, second, third = (found.pop(otlp.trace_id(number)) for number in (1, 2, 3))
    assert found == {}
    assert (first.spans, first.errors, first.agents, first.session_id, first.error) == (4, 1, ["theseus"], "s1", "the Minotaur is awake")
    assert [(run.input_tokens, run.output_tokens) for run in (first, second)] == [(1000, 100), (2000, 100)]
    assert [run.cost_usd for run in (first, second)] == pytest.approx([0.00021, 0.00036])
    assert (third.cost_usd, third.unpriced_models) == (None, ["no-such-model"])
    by_model = {cost.key: cost.calls for cost in costs(filled, by="model").rows}
    assert by_model == {"gpt-4o-mini": 2, "no-such-model": 1}


def test_the_filter_language(filled: Any, otlp: Any) -> None:
    from clew.observe.query.search import count, search

    def found(text: str) -> list[int]:
        return sorted(int(hit.span_id, 16) for hit in search(filled, text).hits)

    wanted = {
        "": [1, 2, 3, 4, 5, 6],
        "labyrinth": [2, 5, 6],
        '"leads out of"': [2, 5, 6],
        "Minotaur": [4],
        "agent:theseus": [1, 2, 3, 4],
        "agent:theseus kind:llm": [2],
        "@cut:5": [3],
        "@sharp:true": [3],
        "cost:>0.0003": [5],
        "tokens:>1500": [5],
        "-status:error session:s1": [1],
        "tool:sw* OR model:no-such-model": [3, 6],
    }
    assert {text: found(text) for text in wanted} == wanted
    assert {text: count(filled, text) for text in wanted} == {text: len(spans) for text, spans in wanted.items()}


def test_a_run_in_full(filled: Any, otlp: Any) -> None:
    from clew.observe.query.logs import page
    from clew.observe.query.messages import messages
    from clew.observe.query.structure import structure
    from clew.observe.query.traces import contents, trace

    run = otlp.trace_id(1)
    assert [span.name for span in trace(filled, run).spans] == ["span 1", "span 2", "span 3", "span 4"]
    assert contents(filled, run, otlp.span_id(2))["output.value"] == "Ariadne's"
    assert "Which thread leads out" in json.dumps(plain(messages(filled, run)))
    assert plain(structure(filled, run))["run"]["spans"] == 4
    (log,) = page(filled, "door").logs
    assert (log.body, log.span_id) == ("the door is open", otlp.span_id(3))


def test_metrics(store: Any, otlp: Any) -> None:
    point = {"timeUnixNano": str(otlp.START), "asInt": "7", "attributes": otlp.attributes({"door": "north"})}
    metric = {"name": "steps", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point]}}
    from clew.wire.check import check_json, stamp_json
    from clew.wire.otlp import METRICS

    body = json.dumps({"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"scope": {}, "metrics": [metric]}]}]}).encode()
    store.insert(METRICS, "json", stamp_json(check_json(body, METRICS).body, 1, "test"))
    assert store.rows("SELECT name, value FROM points") == [{"name": "steps", "value": 7.0}]


def test_runs_are_deleted_and_days_are_dropped(filled: Any, otlp: Any) -> None:
    import time

    from clew.observe.query.runs import runs
    from clew.observe.query.search import search
    from clew.observe.store import deletion, retention

    gone, never = otlp.trace_id(1), otlp.trace_id(99)
    counted = deletion.count(filled, [gone, never])
    assert (counted.runs, counted.spans, counted.logs, counted.done) == (1, 4, 1, False)
    assert dataclasses.replace(counted, done=True) == deletion.delete(filled, [gone, never])
    assert deletion.delete(filled, [gone]) == deletion.Deleted(0, 0, 0, 0, True)
    assert {run.run_id for run in runs(filled)} == {otlp.trace_id(2), otlp.trace_id(3)}
    assert search(filled, "Minotaur").hits == []

    keep = retention.Keep(30, 30, 30, 0)
    assert retention.prune(filled, keep).dropped == []
    beyond = retention.prune(filled, keep, now_s=time.time() + 40 * retention.DAY_S, dry_run=True)
    assert {day.signal: day.reason for day in beyond.dropped}["traces"] == "expired"
    assert len(runs(filled)) == 2
    assert retention.prune(filled, keep, now_s=time.time() + 40 * retention.DAY_S).dropped == beyond.dropped
    assert runs(filled) == []
    made = [table for table in retention.DAILY["traces"] if table != "sketches"]  # which nobody has asked for
    assert [filled.value(f"SELECT count() FROM {table}") for table in made] == [0] * len(made)


def test_over_the_size_cap_the_tables_of_a_server_count(filled: Any) -> None:
    import time

    from clew.observe.store import retention

    day = time.time() + retention.DAY_S
    size = sum(one.bytes for one in retention.days(filled))
    assert size > 0
    assert retention.prune(filled, retention.Keep(0, 0, 0, 0), now_s=day, dry_run=True).bytes >= size
    over = retention.prune(filled, retention.Keep(0, 0, 0, 1), now_s=day, dry_run=True)
    assert {one.reason for one in over.dropped} == {"over the size cap"}


def test_a_collector_that_does_not_settle_leaves_days_to_the_one_that_does(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.errors import StoreError
    from clew.observe.store import retention

    monkeypatch.setattr(filled.engine, "settles", False)
    with pytest.raises(StoreError, match=r"does not settle .* \(CLEW_SETTLE=0\): run it beside the one that does"):
        retention.prune(filled, retention.Keep(1, 1, 1, 0))


def test_a_server_makes_its_own_backup_and_says_how(filled: Any, tmp_path: Path) -> None:
    from clew.errors import StoreError
    from clew.observe.ingest.backup import backup

    if filled.engine.is_own:
        assert backup(filled, tmp_path / "copy", None).files > 0
        return
    with pytest.raises(
        StoreError, match=r"have that server back them up: BACKUP DATABASE `contract_\d+` TO Disk\('backups', 'contract_\d+'\)"
    ):
        backup(filled, tmp_path / "copy", None)


@pytest.mark.parametrize(
    "query",
    [
        "INSERT INTO processes VALUES ('a', 1)",
        "SELECT 1 SETTINGS readonly = 0",
        "SELECT * FROM file('/etc/passwd')",
        "SELECT * FROM url('http://127.0.0.1:1/', CSV, 'a String')",
    ],
)
def test_a_user_only_reads(filled: Any, query: str) -> None:
    from clew.errors import QueryError
    from clew.observe.query.sql import sql

    with pytest.raises(QueryError, match="only reading is allowed"):
        sql(filled, query)
    assert sql(filled, "SELECT count(), sum(input_tokens) FROM model_calls").rows == [[3, 4000]]


def test_it_is_there_when_it_is_opened_again_and_a_newer_one_is_refused(
    open_store: Callable[[], Any], otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew.errors import StoreNewer
    from clew.observe.query.runs import runs
    from clew.observe.store import format, store

    with open_store() as first:
        otlp.take(first, otlp.lines(otlp.traces(otlp.span())))
    with open_store() as again:
        assert [run.spans for run in runs(again)] == [1]
        monkeypatch.setattr(store, "SCHEMA", format.SCHEMA + 1)
        again.engine.write_format(format.Format(schema=format.SCHEMA + 1))
    with pytest.raises(StoreNewer, match=rf"schema {format.SCHEMA + 1}"):
        open_store()


def test_a_password_is_never_shown() -> None:
    from clew.errors import SettingError
    from clew.observe.store.engine import Remote

    assert Remote.of("clickhouse://me:secret@host:9/db?cluster=main").name == "clickhouse://host:9/db"
    for wrong in (
        "postgres://me:secret@host/db",
        "clickhouse://me:secret@/db",
        "clickhouse://me:secret@host:x/db",
        "clickhouse://h/db?cluster=a'b",
    ):
        with pytest.raises(SettingError) as refused:
            Remote.of(wrong)
        assert "secret" not in str(refused.value)


def test_a_server_that_is_not_there_is_named(tmp_path: Path) -> None:
    from clew.errors import StoreUnavailable
    from clew.observe.store.store import Store

    with pytest.raises(StoreUnavailable, match=r"clickhouse://127\.0\.0\.1:9/db does not answer: .*; is it running"):
        Store.open(tmp_path / "data", url="clickhouse://127.0.0.1:9/db")
