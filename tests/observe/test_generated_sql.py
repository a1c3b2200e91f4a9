"""The SQL that is generated from the declared tables, as it stands: a change of it is seen in review.

After a change that is meant: ``python tests/observe/test_generated_sql.py``
"""

from __future__ import annotations

import re
from pathlib import Path

from clew.observe.store import schema

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


def test_every_part_is_filled_in_and_the_cluster_is_a_parameter() -> None:
    assert [name for name, text in generated().items() if "${" in text] == []
    clustered = {
        name: statement
        for name, _, statements in schema.files(replicated="Replicated", on_cluster="ON CLUSTER 'main'")
        for statement in statements
    }
    assert all("ON CLUSTER 'main'" in statement for statement in clustered.values())
    merging = [name for name, statement in clustered.items() if "MergeTree" in statement]
    assert len(merging) >= 8
    assert [name for name in merging if not re.search(r"ENGINE = Replicated\w*MergeTree", clustered[name])] == []


if __name__ == "__main__":
    write()
