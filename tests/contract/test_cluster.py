"""The statements for a cluster. None is at hand in tests: the engine's own parser says that each is one, and what it makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from clew.observe.store import schema
from clew.observe.store.schema import Placement

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")


def test_every_statement_for_a_cluster_is_understood_by_the_engine(tmp_path: Path) -> None:
    from clew.observe.store.engine import Embedded

    (tmp_path / "store").mkdir()
    client = Embedded(tmp_path).connect()
    try:
        for file in schema.files(Placement("main")):
            for statement in file.statements:
                tree = client.command(f"EXPLAIN AST {statement}")
                assert "Query" in str(tree), (file.name, statement)
        with pytest.raises(Exception, match="Syntax error"):
            client.command("EXPLAIN AST CREATE TABLE t ON CLUSTER 'main' (a String) ENGINE ReplicatedMergeTree ORDER")
    finally:
        client.close()
