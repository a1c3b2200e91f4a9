"""The statements for a cluster. None is at hand in tests: the engine's own parser says that each is one, and what it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clew.observe.store import schema
from clew.observe.store.schema import Placement

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")


def test_every_statement_for_a_cluster_is_understood_by_the_engine(tmp_path: Path) -> None:
    from clew.observe.store import deletion, retention
    from clew.observe.store.engine import Embedded, Remote

    (tmp_path / "store").mkdir()
    client = Embedded(tmp_path).connect()
    try:
        for file in schema.files(Placement("main")):
            for statement in file.statements:
                tree = client.command(f"EXPLAIN AST {statement}")
                assert "Query" in str(tree), (file.name, statement)
        main = Placement("main", is_shared=True)
        remote = Remote.of("clickhouse://db.internal/clew?cluster=main")
        house = [
            retention.days_of(main).replace("{first:String}", "'span_records'").replace("{tables:Array(String)}", "['span_records']"),
            retention.tables_of(main).replace("{id:String}", "'20260101'"),
            *(retention.drop(main, table, "20260101") for tables in retention.DAILY.values() for table in tables),
            deletion.removal(main, "span_records", deletion.naming(["ab" * 16, "cd" * 16])),
            remote.backup_statement,
        ]
        for statement in house:
            assert "Query" in str(client.command(f"EXPLAIN AST {statement}")), statement
        assert "ALTER TABLE span_records_shard ON CLUSTER 'main' DROP PARTITION ID '20260101'" in house
        assert remote.backup_statement == "BACKUP DATABASE `clew` ON CLUSTER 'main' TO Disk('backups', 'clew')"
        with pytest.raises(Exception, match="Syntax error"):
            client.command("EXPLAIN AST CREATE TABLE t ON CLUSTER 'main' (a String) ENGINE ReplicatedMergeTree ORDER")
    finally:
        client.close()
