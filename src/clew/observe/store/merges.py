"""When the engine may merge. A merge drops the replaced versions of a span, so it should come after the settler has counted conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clew.observe.store.store import Store

MOST_PARTS = 200
"""Parts of spans beyond which merges go on whatever comes in: a query opens every part, and at 3,000 the engine refuses inserts. It is half
a minute of inserts at full rate."""


def hold(store: Store) -> bool:
    """Stops merges until let_go(), and gives back whether it did.

    It does not when merges are running (stopping them would throw their work away, and a large one would never come to its end beside a
    steady trickle of spans) or are overdue. A conflict that is merged away meanwhile is not counted; the later version counts all the same.
    """
    if not store.engine.is_own:
        return False
    if running(store) or overdue(store):
        return False
    store.command("SYSTEM STOP MERGES")
    return True


def running(store: Store) -> bool:
    """Whether the engine is merging, or indexing what it has."""
    return bool(store.value("SELECT count() FROM system.merges WHERE database = currentDatabase()"))


def overdue(store: Store) -> bool:
    """Whether so many parts are waiting to be merged that they must not wait longer."""
    parts = store.value("SELECT count() FROM system.parts WHERE active AND database = currentDatabase() AND table = 'span_records'")
    return bool(parts > MOST_PARTS)


def let_go(store: Store) -> None:
    """Lets the engine merge again. Idempotent."""
    store.command("SYSTEM START MERGES")


UNINDEXED = "active AND database = currentDatabase() AND table = 'payloads' AND secondary_indices_compressed_bytes = 0"
"""Which of ``system.parts`` came in haste (Store.insert) and are not merged yet: the index of any other has some bytes, even without a word."""


def index_left(store: Store) -> None:
    """Has the engine index, in the background, the words of those parts that came in haste and that it does not merge: a few large ones may
    lie side by side for long."""
    for (day,) in store.query(f"SELECT DISTINCT partition_id FROM system.parts WHERE {UNINDEXED}").result_rows:
        store.command(f"ALTER TABLE payloads MATERIALIZE INDEX words IN PARTITION ID '{day}'")
