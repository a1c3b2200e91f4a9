"""Runs taken out of the store for good: rows of every table, their content and the entries of the text indexes.

A deletion rewrites the parts that hold the runs, so it is for single runs and for what must go; what is old goes by retention. Spans that
arrive after it are new: a run that is still being recorded, or is sent again, comes back with what arrives then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from clew.errors import StoreError
from clew.observe.store import merges, removed
from clew.observe.store.settle import settle, touch
from clew.observe.store.store import Store

_CHOSEN = "trace_id IN (SELECT trace_id FROM deleting)"

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
    with store.ingesting, _chosen(store, run_ids):
        return _count(store, done=False)


def delete(store: Store, run_ids: Sequence[str]) -> Deleted:
    """Deletes these runs. When it returns no file of the store holds anything of them. Idempotent: what is not there is not counted. Broken
    off, it may have deleted some of it; do it again.

    :raises StoreError: the store is a cluster
    :raises StoreUnavailable: the store cannot be written
    """
    if store.engine.placement.cluster:
        raise StoreError(f"{store.engine.name} is a cluster: delete from the tables of its shards there")
    with store.ingesting, _chosen(store, run_ids):
        found = _count(store, done=True)
        merges.let_go(store)  # they do the work
        touch(store, _CHOSEN)
        tables = [
            table
            for (table,) in store.query(
                "SELECT c.table FROM system.columns AS c INNER JOIN system.tables AS t ON c.database = t.database AND c.table = t.name "
                "WHERE c.database = currentDatabase() AND c.name = 'trace_id' AND t.engine LIKE '%MergeTree' ORDER BY c.table = 'span_records'"
            ).result_rows
            if table != _LATEST
        ]
        for table in tables:
            store.command(f"ALTER TABLE {table} DELETE WHERE {_CHOSEN} SETTINGS mutations_sync = 1")
        settle(store)
        store.remove_replaced()
        removed.note(store.data_dir, removed.DELETED, {"traces": found.spans, "logs": found.logs})
    return found


@contextmanager
def _chosen(store: Store, run_ids: Sequence[str]) -> Iterator[None]:
    """The table ``deleting`` has these ids, and is empty afterwards."""
    store.empty("deleting")
    store.insert_rows("deleting", ["trace_id"], [(run_id,) for run_id in dict.fromkeys(run_ids)])
    try:
        yield
    finally:
        store.empty("deleting")


def _count(store: Store, *, done: bool) -> Deleted:
    [(runs, spans)] = store.query(f"SELECT uniqExact(trace_id), uniqExact(trace_id, span_id) FROM span_records WHERE {_CHOSEN}").result_rows
    logs = store.value(f"SELECT count() FROM log_records FINAL WHERE {_CHOSEN}")
    payloads = store.value(f"SELECT uniqExact(trace_id, hash) FROM payloads WHERE {_CHOSEN}")
    return Deleted(runs, spans, logs, payloads, done)
