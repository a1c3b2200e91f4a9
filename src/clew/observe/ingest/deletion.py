"""Deletion as a user asks for it: of what was acknowledged, also from the log, so that nothing of it comes back after a crash."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clew.observe.ingest.collector import Collector
from clew.observe.store import deletion
from clew.observe.store.deletion import Deleted
from clew.observe.store.store import Store


def delete(store: Store, choose: Callable[[Store], Sequence[str]], collector: Collector | None, *, dry_run: bool = False) -> Deleted:
    """Deletes the runs that ``choose`` names, once all that was acknowledged before is stored. Idempotent.

    :param dry_run: only count what would be deleted
    :raises StoreUnavailable: the store cannot be written, or what waits in the log not be stored
    """
    if collector is not None:
        collector.wait_until_stored()
    run_ids = choose(store)
    if dry_run:
        return deletion.count(store, run_ids)
    deleted = deletion.delete(store, run_ids)
    if collector is not None:  # what the log still holds of them is stored already, or arrived later
        with store.ingesting:
            collector.checkpoint()
    return deleted
