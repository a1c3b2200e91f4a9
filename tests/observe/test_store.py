"""The store keeps what it took, says who holds it and why it cannot be opened, and lets readers do nothing but read."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.errors import QueryError, StoreBusy, StoreNewer, StoreUnavailable
from clew.observe.ingest.files import import_file
from clew.observe.query.health import health
from clew.observe.query.sql import sql
from clew.observe.store.format import SCHEMA, Format
from clew.observe.store.store import Store

KILLS = int(os.environ.get("KILLS", "5"))
"""How often an import is killed; KILLS=50 for a thorough run."""


def python(script: str, *arguments: object, **more: Any) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more)


# --- opening -----------------------------------------------------------------------------------------------------------------------------


def test_what_was_taken_in_is_there_after_reopening_and_migrating_again_changes_nothing(tmp_path: Path, otlp: Any) -> None:
    tables = "SELECT name, create_table_query FROM system.tables WHERE database = currentDatabase() ORDER BY name"
    with Store.open(tmp_path) as store:
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1, 0, {"input.value": "x" * 1000}))))
        made = store.query(tables).result_rows
        assert [name for name, _ in made if "metrics" in name] == []  # made when the first metric comes
    for _ in range(2):
        with Store.open(tmp_path) as store:
            assert store.query(tables).result_rows == made
            assert store.query("SELECT value FROM contents").result_rows == [("x" * 1000,)]
    assert json.loads((tmp_path / "store.format").read_text())["schema"] == SCHEMA


def test_tables_lie_side_by_side_which_takes_fewer_blocks_of_the_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        kept = store.query(
            "SELECT data_paths[1] FROM system.tables WHERE engine LIKE '%MergeTree' AND database = currentDatabase()"
        ).result_rows
    assert len({Path(path) for (path,) in kept}) > 5
    assert len({Path(path).parent for (path,) in kept}) == 1


def test_a_changed_view_is_replaced_when_the_store_is_opened(tmp_path: Path, otlp: Any) -> None:
    with Store.open(tmp_path) as store:
        store.command("CREATE OR REPLACE VIEW sessions AS SELECT 'of an older version' AS session_id")
        store.command("DROP VIEW store_spans SYNC")
    found = Format.read(tmp_path)
    Format(made={**found.made, "sessions.sql": "older", "070_store_spans.sql": "older"}).write(tmp_path)
    with Store.open(tmp_path) as store:
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1, 0, {"session.id": "s"}))))
        assert store.query("SELECT session_id, runs FROM sessions").result_rows == [("s", 1)]


def test_the_directory_of_a_newer_version_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "store.format"
    path.write_text(json.dumps({"schema": SCHEMA + 1, "written_by": "99.0"}))
    before = sorted(tmp_path.iterdir())
    with pytest.raises(StoreNewer, match=rf"written by Clew 99\.0 \(schema {SCHEMA + 1}\).*upgrade it"):
        Store.open(tmp_path)
    assert [entry for entry in sorted(tmp_path.iterdir()) if entry.name != "store.lock"] == before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"schema": "new"}', '{"written_by": "1"}', "\x00"])
def test_a_damaged_format_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.format").write_text(text)
    with pytest.raises(StoreUnavailable, match=r"store\.format is damaged; restore it, or move"):
        Store.open(tmp_path)
    (tmp_path / "store.format").unlink()
    Store.open(tmp_path).close()  # the lock was given back


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_data_directory_that_is_none_is_named(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(StoreUnavailable, match=f"data directory {tmp_path / place} cannot be used: .+ --data-dir"):
        Store.open(tmp_path / place)


HOLD = """
import sys
from pathlib import Path
from clew.observe.store.store import Store
with Store.open(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the store open until it is told to end."""
    with python(HOLD, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_store(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    with pytest.raises(StoreBusy, match=f"{tmp_path} is in use by process {other.pid} since"):
        Store.open(tmp_path)


def test_a_second_process_waits_for_the_first(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    timer = threading.Timer(0.3, lambda: other.communicate("\n"))
    timer.start()
    Store.open(tmp_path, wait_s=30).close()
    timer.join()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, other: subprocess.Popen[str]) -> None:
    other.kill()
    other.wait()
    Store.open(tmp_path).close()


# --- kill, full disk ---------------------------------------------------------------------------------------------------------------------

IMPORT = """
import sys
from pathlib import Path
from clew.observe.ingest import intake
from clew.observe.ingest.files import import_file
from clew.observe.store.store import Store
intake.BATCH_BYTES = 1 << 18  # many batches of a small file
with Store.open(Path(sys.argv[1])) as store:
    print("open", flush=True)
    import_file(store, Path(sys.argv[2]))
"""


def many(otlp: Any, count: int) -> bytes:
    """Traces of ten spans: an agent that repeats the tokens of its calls."""
    usage = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 1,
    }
    agent = usage | {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "a"}
    lines = []
    for trace in range(1, count // 10 + 1):
        calls = [otlp.span(number, trace, 1, usage | {"input.value": f"question {trace} {number} " * 20}) for number in range(2, 11)]
        lines.append(otlp.lines(otlp.traces(otlp.span(1, trace, 0, agent), *calls)))
    return b"".join(lines)


def test_an_import_that_is_killed_and_run_again_is_exact(tmp_path: Path, otlp: Any) -> None:
    file, data_dir = tmp_path / "spans.jsonl", tmp_path / "data"
    file.write_bytes(many(otlp, 8_000))
    Store.open(data_dir).close()
    chance = random.Random(7)
    for _ in range(KILLS):
        with python(IMPORT, data_dir, file) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "open\n"
            try:
                process.wait(chance.uniform(0, 1.5))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    with Store.open(data_dir) as store:
        import_file(store, file)
        found = store.rows(
            "SELECT (SELECT count() FROM spans) AS spans, count() AS calls, sum(input_tokens) AS input, uniqExact(trace_id) AS traces FROM model_calls"
        )
        assert found == [{"spans": 8_000, "calls": 7_200, "input": 72_000, "traces": 800}]
        assert store.value("SELECT countIf(value LIKE 'question%') FROM contents") == 7_200
        assert health(store).conflicts == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("not applicable: mounting a small file system needs more rights")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_named_and_loses_nothing_that_was_taken(small_disk: Path, tmp_path: Path, otlp: Any) -> None:
    file = tmp_path / "spans.jsonl"
    data = many(otlp, 8_000)
    file.write_bytes(data)
    with Store.open(small_disk / "data") as store:
        assert otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 2**64, 0, {"input.value": "kept"})))).spans == 1
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as stream:
            for size in (1 << 20, 1 << 12):
                try:
                    while stream.write(b"x" * size) == size:
                        pass
                except OSError:
                    continue
        with pytest.raises(StoreUnavailable, match="free some space"):
            import_file(store, file)
        assert store.query("SELECT value FROM contents WHERE value = 'kept'").result_rows == [("kept",)]
        ballast.unlink()
        assert import_file(store, file).spans == 8_000
        assert store.value("SELECT count() FROM spans") == 8_001
        assert health(store).conflicts == 0
    with Store.open(small_disk / "data") as store:
        assert store.value("SELECT count() FROM spans") == 8_001


def test_a_read_only_disk_is_named(small_disk: Path) -> None:
    Store.open(small_disk / "data").close()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(StoreUnavailable, match="data"):
        Store.open(small_disk / "data")
    with pytest.raises(StoreUnavailable, match="Read-only"):
        Store.open(small_disk / "new")


# --- read-only SQL -----------------------------------------------------------------------------------------------------------------------

REFUSED = (
    "INSERT INTO span_records (name) VALUES ('x')",
    "INSERT INTO FUNCTION file('out.csv') SELECT 1",
    "CREATE TABLE t (a Int8) ENGINE = Memory",
    "CREATE TEMPORARY TABLE t (a Int8)",
    "CREATE VIEW v AS SELECT 1",
    "DROP TABLE span_records",
    "DROP VIEW spans",
    "TRUNCATE TABLE span_records",
    "ALTER TABLE span_records DELETE WHERE 1",
    "DELETE FROM span_records WHERE 1",
    "OPTIMIZE TABLE span_records",
    "RENAME TABLE span_records TO other",
    "DETACH TABLE span_records",
    "ATTACH TABLE span_records",
    "SYSTEM STOP MERGES",
    "/* hello */ (SYSTEM STOP MERGES)",
    "-- SELECT\nSYSTEM RELOAD CONFIG",
    "SELECT 1; SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "SET max_execution_time = 0",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 SETTINGS max_memory_usage = 0",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM file('*.jsonl', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')",
    "SELECT * FROM s3('http://127.0.0.1:1/x')",
    "SELECT * FROM remote('127.0.0.1', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM Python(os)",
    "SELECT 1 INTO OUTFILE 'out.csv'",
    "SELECT 1 /* x */ into\noutfile '/tmp/out.csv'",
    "SELECT 1; DROP TABLE span_records",
    "SELECT 1; SELECT 2",
    "SELECT 1; SYSTEM STOP MERGES",
    "SELECT ';' /* ; */; -- ;\nUSE system",
    "GRANT ALL ON *.* TO default",
    "BACKUP TABLE span_records TO File('x')",
    "USE system",
    "",
    "SELEKT 1",
)


def test_an_answer_is_remembered_until_something_is_written(store: Store, otlp: Any) -> None:
    asked: list[int] = []

    def ask() -> int:
        asked.append(int(store.value("SELECT count() FROM span_records")))
        return asked[-1]

    def take(number: int) -> None:
        otlp.take(store, otlp.lines(otlp.traces(otlp.span(number))))

    def ask_while_is_written() -> int:
        found = ask()
        take(2)
        return found

    assert [store.remembered("spans", ask) for _ in range(3)] == [0, 0, 0]
    assert len(asked) == 1
    take(1)
    assert store.remembered("spans", ask) == 1
    assert store.remembered("again", ask_while_is_written) == 1
    assert store.remembered("again", ask) == 2
    store.command("TRUNCATE TABLE span_records")
    assert store.remembered("again", ask) == 0
    store.insert_rows("processes", ["process", "ended_ns"], [["p", 1]])
    assert store.remembered("again", ask) == 0
    assert len(asked) == 6


@pytest.mark.parametrize("query", ["SELECT ';';", "SELECT ';' ; ;\n", "SELECT ';' -- ; 2", "SELECT $a$;$a$ /* ; */;"])
def test_a_statement_may_hold_semicolons_and_end_in_one(store: Store, query: str) -> None:
    assert sql(store, query).rows == [[";"]]


def refusal(store: Store, query: str) -> str | None:
    try:
        sql(store, query)
    except QueryError as error:
        return str(error)
    return None


def test_whatever_writes_reads_files_or_connects_is_refused(
    store: Store, otlp: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1))))
    before = sorted(tmp_path.rglob("*.csv"))
    messages = {query: refusal(store, query) for query in REFUSED}
    assert {query for query, message in messages.items() if message is None} == set()
    assert [message for message in messages.values() if message is None or len(message) > 500 or "\n" in message] == []
    assert sorted(tmp_path.rglob("*.csv")) == before
    assert store.value("SELECT count() FROM spans") == 1
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(2))))  # the store itself still writes
    assert store.value("SELECT count() FROM spans") == 2


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "select 1 -- comment;",
        "SELECT 'INTO OUTFILE', `outfile` FROM (SELECT 1 AS `outfile`) -- into outfile",
        "WITH 1 AS x SELECT x",
        "(SELECT 1) UNION ALL (SELECT 2)",
        "SHOW TABLES",
        "DESCRIBE TABLE spans",
        "DESC spans",
        "EXPLAIN SELECT * FROM spans",
        "SHOW CREATE VIEW spans",
        "SELECT count() FROM spans",
        "SELECT 1;",
    ],
)
def test_reading_is_not_refused(reader: Store, query: str) -> None:
    assert sql(reader, query).rows


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store.open(tmp_path_factory.mktemp("reader")) as opened:
        yield opened


def test_rows_time_and_memory_are_limited(reader: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    table = sql(reader, "SELECT number FROM numbers(1000)", max_rows=10)
    assert (len(table.rows), table.truncated) == (10, True)
    assert not sql(reader, "SELECT number FROM numbers(10)", max_rows=10).truncated
    with pytest.raises(QueryError, match=r"(?i)time"):
        sql(reader, "SELECT count() FROM numbers(100000000000) WHERE sipHash64(number) = 1", timeout_s=0.2)
    monkeypatch.setattr("clew.observe.query.sql.MEMORY_BYTES", 50 << 20)
    with pytest.raises(QueryError, match=r"(?i)memory"):
        sql(reader, "SELECT length(groupArray(toString(number))) FROM numbers(100000000)")


def test_values_are_ready_for_json(reader: Store) -> None:
    table = sql(
        reader,
        "SELECT 1 AS i, 18446744073709551615 AS big, 1.5 AS f, nan AS n, NULL AS nothing, 'x' AS s, [1, NULL] AS list, map('a', 1) AS m, (1, 'b') AS t, "
        "true AS yes, toDate('2026-01-02') AS d, fromUnixTimestamp64Nano(1500000000, 'UTC') AS at, toDecimal32(1.25, 2) AS dec, "
        "toUUID('00000000-0000-0000-0000-000000000001') AS u",
    )
    assert json.loads(json.dumps(dict(zip(table.columns, table.rows[0], strict=True)))) == {
        "i": 1,
        "big": 2**64 - 1,
        "f": 1.5,
        "n": "nan",
        "nothing": None,
        "s": "x",
        "list": [1, None],
        "m": {"a": 1},
        "t": [1, "b"],
        "yes": True,
        "d": "2026-01-02",
        "at": "1970-01-01T00:00:01.500000Z",
        "dec": 1.25,
        "u": "00000000-0000-0000-0000-000000000001",
    }
