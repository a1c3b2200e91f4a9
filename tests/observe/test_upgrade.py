"""A store that an earlier version wrote is brought up to date when it is opened, whatever version that was. schemas/ holds the tables and the
JSON way in of each earlier schema, as that version made them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clew.observe.query.aggregates import aggregate
from clew.observe.query.runs import runs
from clew.observe.store import rollups, schema, upgrade
from clew.observe.store import store as store_module
from clew.observe.store.engine import Embedded
from clew.observe.store.format import SCHEMA
from clew.observe.store.prices import refresh_prices
from clew.observe.store.settle import settle
from clew.observe.store.store import Store
from clew.wire.check import check_json, stamp_json
from clew.wire.otlp import LOGS, TRACES

SCHEMAS = Path(__file__).parent / "schemas"
EARLIER = tuple(range(1, SCHEMA))
DAY = 86_400_000_000_000

FIGURES = (
    "SELECT * EXCEPT (arrival_time, sender, resource_types) FROM spans ORDER BY trace_id, span_id",  # types of resources are kept since schema 3
    "SELECT * FROM contents ORDER BY trace_id, span_id, key",
    "SELECT * FROM model_calls ORDER BY trace_id, span_id",
    "SELECT * EXCEPT resource_types FROM logs ORDER BY trace_id, time_ns, body",
    "SELECT trace_id, span_id, replaced_hash FROM conflicts FINAL ORDER BY ALL",
    "SELECT trace_id, min(first_ns), max(last_ns) FROM traces GROUP BY trace_id ORDER BY trace_id",
    "SELECT * EXCEPT settled_ns FROM failures FINAL WHERE held ORDER BY trace_id, span_id",
)


def figures(store: Store) -> list[Any]:
    return [store.query(query).result_rows for query in FIGURES]


def records(otlp: Any) -> list[tuple[str, int, bytes]]:
    """(landing table, arrival, request): two runs, over two days; usage that is repeated above, an agent, a correction, logs."""
    llm = {"clew.span.kind": "llm", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 5}
    agent = {
        "clew.span.kind": "agent",
        "gen_ai.agent.name": "planner",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.input.messages": "long " * 99,
    }
    days = [otlp.START + number * DAY for number in (10, 11)]
    first = otlp.traces(otlp.span(1, 1, 0, agent), otlp.span(2, 1, 1, llm), otlp.span(1, 2), resource={"service.instance.id": "p1"})
    failed = otlp.span(5, 1, 1, {"tool.name": "t"}, status={"code": 2, "message": "no 5"})
    second = otlp.traces(
        failed, otlp.span(3, 1, 1, {"tool.name": "t"}), otlp.span(1, 2, 0, {"corrected": True}), otlp.span(4, 2, 1, endTimeUnixNano="0")
    )
    log = otlp.logs(otlp.log("hello", {"k": 1}, traceId=otlp.trace_id(1)), otlp.log("hello"), otlp.log("world"))
    return [
        (f"landing_{signal}_json", arrival, json.dumps(request).encode())
        for signal, arrival, request in (("traces", days[0], first), ("traces", days[1], second), ("logs", days[1], log))
    ]


def insert(client: Any, made: list[tuple[str, int, bytes]]) -> None:
    for table, arrival, request in made:
        body = stamp_json(check_json(request).body, arrival, "test")
        client.raw_insert(table, insert_block=body, fmt="JSONEachRow", settings=store_module._INSERT_SETTINGS)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory, otlp: Any) -> tuple[list[Any], list[Any]]:
    """What a store of this version has of the records, and what its settler noted."""
    with Store.open(tmp_path_factory.mktemp("present")) as store:
        for signal in (TRACES, LOGS):
            store.make(schema.way_in(signal, "json"))
        insert(store.client(), records(otlp))
        settle(store)
        refresh_prices(store)
        return figures(store), list(
            store.query("SELECT trace_id, span_id, settled_ns, shadowed, agent, day FROM settled FINAL").result_rows
        )


def write_earlier(data_dir: Path, earlier: int, made: list[tuple[str, int, bytes]], *, settled: list[Any], conflicts: list[Any]) -> None:
    """The directory as a program of that schema left it."""
    (data_dir / "store").mkdir(parents=True)
    client = Embedded(data_dir).connect()
    for statement in (SCHEMAS / f"{earlier}.sql").read_text().split(";\n"):
        if statement.strip():
            client.command(statement)
    if earlier == 1:
        client.command("CREATE TABLE schema_files (name String, digest String) ENGINE = ReplacingMergeTree ORDER BY name")
    insert(client, made)
    dated = ["day"] if earlier >= 3 else []
    columns = ["trace_id", "span_id", "settled_ns", "shadowed", "agent", *dated]
    client.insert("settled", [row[: len(columns)] for row in settled], column_names=columns)
    columns = ["trace_id", "span_id", "replaced_hash", *dated]
    client.insert("conflicts", [(*row, settled[0][-1])[: len(columns)] for row in conflicts], column_names=columns)
    client.insert("processes", [("p1", made[-1][1])], column_names=["process", "ended_ns"])
    client.close()
    (data_dir / "store.format").write_text(json.dumps({"schema": earlier, "written_by": "0.1.0"}))


@pytest.mark.parametrize("earlier", EARLIER)
def test_a_store_of_each_earlier_schema_shows_the_same_figures_after_the_upgrade(
    earlier: int, tmp_path: Path, otlp: Any, expected: tuple[list[Any], list[Any]]
) -> None:
    write_earlier(tmp_path, earlier, records(otlp), settled=expected[1], conflicts=expected[0][4])
    assert len(expected[0][-1]) == 1, "a failure is compared"
    there = (SCHEMAS / f"{earlier}.sql").read_text()
    for step in range(earlier + 1, SCHEMA + 1):  # broken off in the middle of each step
        broken_off = pytest.MonkeyPatch()
        before, after = upgrade.UPGRADES[step]
        broken_off.setitem(upgrade.UPGRADES, step, (before, _failing(after)))
        with broken_off.context(), pytest.raises(ZeroDivisionError):
            Store.open(tmp_path)
        broken_off.undo()
    for _ in range(2):
        with Store.open(tmp_path) as store:
            refresh_prices(store)
            assert figures(store) == expected[0]
            assert store.value("SELECT count() FROM processes") == 1
            assert sorted(run.run_id for run in runs(store)) == [otlp.trace_id(1), otlp.trace_id(2)]
            assert store.pairs("SELECT day, count() FROM traces GROUP BY day ORDER BY day").keys() == {
                store.value(f"SELECT toDate(fromUnixTimestamp64Nano({arrival}), 'UTC')") for _, arrival, _ in records(otlp)
            }
            tables = store.pairs("SELECT name, engine FROM system.tables WHERE database = currentDatabase()")
            assert not [name for name in tables if name.endswith(("_1", "_2")) or name == "schema_files"]
            assert {name for name, engine in tables.items() if engine == "MaterializedView"} == {
                schema.made_by(file.name)
                for file in schema.files()
                if "CREATE MATERIALIZED" in file.statements[-1] and (not file.is_later or schema.made_by(file.name) in there)
            }
    with Store.open(tmp_path) as store:  # it takes in what comes, and the same again changes nothing
        insert(store.client(), records(otlp))
        settle(store)
        assert figures(store) == expected[0]
        kinds = [aggregate(store, by="kind").rows]
        store.roll_from = 0
        rollups.roll(store)
        assert rollups.progress(store) == (1, 0)
        kinds.append(aggregate(store, by="kind").rows)
        of_spans, of_rollups = ([(row.key, row.spans, row.errors, row.input_tokens, row.cost_usd) for row in rows] for rows in kinds)
        assert of_rollups == of_spans
        assert len(of_spans) > 2


def _failing(after: Callable[[Any], None]) -> Callable[[Any], None]:
    """Does all of the step, and fails before that is noted."""

    def run(client: Any) -> None:
        after(client)
        raise ZeroDivisionError

    return run
