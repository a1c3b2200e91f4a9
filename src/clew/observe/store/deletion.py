"""Runs taken out of the store for good: rows of every table, their content and the entries of the text indexes.

A deletion rewrites the parts that hold the runs, so it is for single runs and for what must go; what is old goes by retention. Spans that
arrive after it are new: a run that is still being recorded, or is sent again, comes back with what arrives then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from clew.observe.store import merges, removed, sketches
from clew.observe.store.normalise import literal
from clew.observe.store.schema import SHARD, Placement
from clew.observe.store.settle import settle, touch
from clew.observe.store.store import Store

_CHOSEN = "trace_id IN (SELECT trace_id FROM deleting)"

AT_ONCE = 2_000
"""Runs that one statement names, 36 bytes each, where they cannot be in a table: of the 256 KiB that a statement may have."""

_LATEST = "touched"
"""What says which traces to settle: it is emptied by that, after the deletion."""


@dataclass(frozen=True, slots=True)
class Deleted:
    """What was deleted, or would be."""

    runs: int
    spans: int
    logs: int
    payloads: int
    """Distinct pieces of content."""
    done: bool
    """False: nothing was changed, it was only counted."""


def count(store: Store, run_ids: Sequence[str]) -> Deleted:
    """What delete() would delete."""
    with store.ingesting, _chosen(store, run_ids) as chosen:
        return _count(store, chosen, done=False)


def delete(store: Store, run_ids: Sequence[str]) -> Deleted:
    """Deletes these runs. When it returns no file of the store holds anything of them. Idempotent: what is not there is not counted. Broken
    off, it may have deleted some of it; do it again.

    :raises StoreUnavailable: the store cannot be written
    """
    with store.ingesting, _chosen(store, run_ids) as chosen:
        found = _count(store, chosen, done=True)
        merges.let_go(store)  # they do the work
        for some in chosen:
            touch(store, some)
        placement = store.engine.placement
        tables = [
            table.removesuffix(SHARD)
            for (table,) in store.query(
                "SELECT c.table FROM system.columns AS c INNER JOIN system.tables AS t ON c.database = t.database AND c.table = t.name "
                "WHERE c.database = currentDatabase() AND c.name = 'trace_id' AND t.engine LIKE '%MergeTree' "
                "ORDER BY startsWith(c.table, 'span_records')"
            ).result_rows
        ]
        for table in tables:
            for some in chosen if table != _LATEST else ():
                store.command(removal(placement, table, some))
        settle(store)
        sketches.forget(store)
        if store.engine.is_own:
            store.remove_replaced()
        removed.note(store.data_dir, removed.DELETED, {"traces": found.spans, "logs": found.logs})
    return found


def removal(placement: Placement, table: str, chosen: str) -> str:
    """The statement that takes some rows out of a table, on every shard; it is done when every replica has done it."""
    return f"ALTER TABLE {placement.kept(table)} DELETE WHERE {chosen} SETTINGS mutations_sync = 2"


@contextmanager
def _chosen(store: Store, run_ids: Sequence[str]) -> Iterator[list[str]]:
    """Conditions on ``trace_id``, together those of these runs. The table ``deleting`` has the ids, and is empty afterwards; on a server,
    where others may use the table too and a mutation must mean the same on every replica, the conditions name them."""
    ids = list(dict.fromkeys(run_ids))
    if store.engine.placement.is_shared:
        yield [naming(ids[first : first + AT_ONCE]) for first in range(0, len(ids), AT_ONCE)]
        return
    store.empty("deleting")
    store.insert_rows("deleting", ["trace_id"], [(run_id,) for run_id in ids])
    try:
        yield [_CHOSEN]
    finally:
        store.empty("deleting")


def naming(ids: Sequence[str]) -> str:
    """The condition that a row is of one of these runs."""
    return f"trace_id IN ({', '.join(map(literal, ids))})"


def _count(store: Store, chosen: list[str], *, done: bool) -> Deleted:
    def total(sql: str) -> list[int]:
        parts = [store.query(f"{sql} WHERE {some}").result_rows[0] for some in chosen]
        return [sum(part[at] for part in parts) for at in range(len(parts[0]) if parts else 2)]

    runs, spans = total("SELECT uniqExact(trace_id), uniqExact(trace_id, span_id) FROM span_records")
    logs, payloads = total("SELECT count() FROM log_records FINAL")[0], total("SELECT uniqExact(trace_id, hash) FROM payloads")[0]
    return Deleted(runs, spans, logs, payloads, done)
