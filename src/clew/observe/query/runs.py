"""Runs: one row per trace, newest first."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Run:
    """One run (a trace). Times are nanoseconds since 1970, UTC; unknown is None, never 0."""

    run_id: str
    name: str
    service: str
    status: str
    state: str
    """``ended``, ``running`` or ``lost`` (the recording process died before the root span ended)."""
    start_ns: int
    duration_ns: int | None
    spans: int
    errors: int
    agents: list[str]
    models: list[str]
    model_calls: int
    calls_with_usage: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    """None when any call of the run has no price; then ``partial_cost_usd`` is what is known and ``unpriced_models`` says why."""
    partial_cost_usd: float
    unpriced_models: list[str]
    session_id: str
    error: str
    """Message of the first error, '' when there is none."""


RUN_COLUMNS = ", ".join(field.name for field in fields(Run))


def run_of(row: dict[str, Any]) -> Run:
    """A run from a row of the view ``runs`` with RUN_COLUMNS."""
    return Run(**row)


def runs(store: Store, *, limit: int = 50, session: str | None = None, failed: bool = False) -> list[Run]:
    """The newest ``limit`` runs; with ``failed`` only those with an error."""
    conditions = ["1"]
    if session is not None:
        conditions.append("session_id = {session:String}")
    if failed:
        conditions.append("errors > 0")
    if session is None and not failed:
        conditions.append("run_id IN (SELECT trace_id FROM traces GROUP BY trace_id ORDER BY min(first_ns) DESC LIMIT {limit:UInt64})")
    rows = store.rows(
        f"SELECT {RUN_COLUMNS} FROM runs WHERE {' AND '.join(conditions)} ORDER BY start_ns DESC, run_id LIMIT {{limit:UInt64}}",
        {"limit": limit, "session": session or ""},
    )
    return [run_of(row) for row in rows]
