"""Deleting runs. Only with the role admin, once there are keys (guard.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Path

from clew.observe.ingest.deletion import delete
from clew.observe.query import selection
from clew.observe.store.deletion import Deleted
from clew.observe.store.store import Store
from clew.server.parameters import RunId
from clew.server.served import Asking, Served

router = APIRouter(prefix="/api/v1")


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which runs to delete."""

    filter: str
    """Those that GET /api/v1/runs lists for it; not empty."""
    dry_run: bool = False
    """Only count what would be deleted."""


@router.delete("/runs/{run_id}")
async def delete_run(asking: Asking, run_id: RunId) -> Deleted:
    """Deletes one run for good: spans, content, logs. Idempotent: a run that is not there counts 0."""
    return await _delete(asking, lambda store: selection.by_id(store, run_id))


@router.delete("/sessions/{session_id}")
async def delete_session(
    asking: Asking, session_id: Annotated[str, Path(max_length=1000, description="Session: its whole id.")]
) -> Deleted:
    """Deletes every run with a span of the session. Idempotent."""
    return await _delete(asking, lambda store: selection.by_session(store, session_id))


@router.post("/delete")
async def delete_chosen(asking: Asking, chosen: Chosen) -> Deleted:
    """Deletes the runs that match a filter, or only counts them."""
    return await _delete(asking, lambda store: selection.by_filter(store, chosen.filter), dry_run=chosen.dry_run)


async def _delete(asking: Served, choose: Callable[[Store], Sequence[str]], *, dry_run: bool = False) -> Deleted:
    return await asking.ask_at_leisure(delete, choose, asking.collector, dry_run=dry_run)
