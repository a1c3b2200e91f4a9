"""The SQL that is generated from the declared tables, as it stands: a change of it is seen in review.

After a change that is meant: ``python tests/observe/test_generated_sql.py``
"""

from __future__ import annotations

import re
from pathlib import Path

from clew.observe.store import schema
from clew.observe.store.schema import Placement

SNAPSHOTS = Path(__file__).parent / "snapshots"


def generated() -> dict[str, str]:
    """File name -> the statements that make a table or view, in their order."""
    return {name: ";\n\n".join(statement.rstrip() for statement in statements) + ";\n" for name, _, statements in schema.files()}


def write() -> None:
    SNAPSHOTS.mkdir(exist_ok=True)
    made = generated()
    for file in SNAPSHOTS.glob("*.sql"):
        if file.name not in made:
            file.unlink()
    for name, text in made.items():
        (SNAPSHOTS / name).write_text(text, encoding="utf-8")


def test_the_generated_sql_is_what_was_reviewed() -> None:
    reviewed = {file.name: file.read_text(encoding="utf-8") for file in SNAPSHOTS.glob("*.sql")}
    made = generated()
    assert sorted(made) == sorted(reviewed)
    changed = [name for name in made if made[name] != reviewed[name]]
    assert changed == [], "if the change is meant: python tests/observe/test_generated_sql.py"


def test_every_part_is_filled_in() -> None:
    assert [name for name, text in generated().items() if "${" in text] == []


def test_in_a_cluster_every_kept_table_is_replicated_and_reached_through_one_that_spreads_it() -> None:
    made = {file.name: file.statements for file in schema.files(Placement("main"))}
    assert [name for name, statements in made.items() for statement in statements if "ON CLUSTER 'main'" not in statement] == []
    kept = {name: statements for name, statements in made.items() if any("MergeTree" in statement for statement in statements)}
    assert len(kept) >= 8
    for name, statements in kept.items():
        table = name.removesuffix(".sql").lstrip("0123456789_")
        shard, spread = statements
        assert re.search(
            rf"CREATE TABLE IF NOT EXISTS {table}_shard ON CLUSTER 'main' \(.* ENGINE = Replicated\w*MergeTree", shard, re.DOTALL
        )
        assert spread.startswith(f"CREATE TABLE IF NOT EXISTS {table} ON CLUSTER 'main' AS {table}_shard ENGINE = Distributed('main', ")
        by_trace = re.search(r"^    trace_id ", shard, re.MULTILINE) is not None
        assert spread.endswith("sipHash64(trace_id))") == by_trace


if __name__ == "__main__":
    write()
