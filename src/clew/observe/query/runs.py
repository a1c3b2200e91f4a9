"""Runs: one row per trace, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from clew.observe.store.schema import select_runs
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


_OF_RUNS = select_runs("trace_id IN {ids:Array(String)} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64}")


def runs(store: Store, *, limit: int = 50, session: str | None = None, failed: bool = False) -> list[Run]:
    """The newest ``limit`` runs; with ``failed`` only those with an error."""
    if session is None and not failed:
        newest = "SELECT trace_id FROM traces GROUP BY trace_id ORDER BY min(first_ns) DESC LIMIT {limit:UInt64}"
        return runs_of(store, [trace_id for (trace_id,) in store.query(newest, {"limit": limit}).result_rows])
    conditions = ["session_id = {session:String}"] * (session is not None) + ["errors > 0"] * failed
    rows = store.rows(
        f"SELECT {RUN_COLUMNS} FROM runs WHERE {' AND '.join(conditions)} ORDER BY start_ns DESC, run_id LIMIT {{limit:UInt64}}",
        {"limit": limit, "session": session or ""},
    )
    return [Run(**row) for row in rows]


def runs_of(store: Store, run_ids: Sequence[str]) -> list[Run]:
    """These runs, newest first; ids that no run has are left out."""
    ids = {"ids": list(run_ids)}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", ids).result_rows
    rows = store.rows(f"SELECT {RUN_COLUMNS} FROM ({_OF_RUNS}) ORDER BY start_ns DESC, run_id", {**ids, "first": first, "last": last})
    return [Run(**row) for row in rows]
