"""How long the nodes of a workflow took and what they cost when it ran before."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from clew.observe.store.store import Store

MOST_RUNS = 20
"""Runs that are looked at: what was true long ago says little about the next run."""


@dataclass(frozen=True, slots=True)
class NodePast:
    """One node in the last runs. Durations and costs are those of a whole run: a node that ran several times in it counts once, with the sum."""

    node_id: str
    runs: int
    """Runs in which it came to an end."""
    share: float | None
    """In how many of the runs that ended well it ran, from 0 to 1; None when none ended well."""
    last_start_ns: int
    last_duration_ns: int
    median_duration_ns: int
    last_cost_usd: float | None
    """Of the recorded model calls within it, 0 when there were none; None when that of any is not known."""
    median_cost_usd: float | None
    """Over the runs in which it is known; None when it never is."""


@dataclass(frozen=True, slots=True)
class Past:
    """The last runs of a workflow that came to an end, at most MOST_RUNS."""

    workflow: str
    runs: int
    failed: int
    last_start_ns: int
    last_duration_ns: int
    nodes: dict[str, NodePast]


def history(store: Store, workflow: str, *, limit: int = MOST_RUNS) -> Past | None:
    """What the last ``limit`` runs of the workflow of that name say, as part of other workflows' runs too; None when it never ended."""
    runs = store.rows(_RUNS, {"name": workflow, "limit": limit})
    if not runs:
        return None
    given = {"traces": sorted({row["trace_id"] for row in runs}), "runs": [row["span_id"] for row in runs]}
    by_run = {(row["trace_id"], row["span_id"]): number for number, row in enumerate(runs)}
    nodes = [row for row in store.rows(_NODES, given) if (row["trace_id"], row["parent_span_id"]) in by_run]
    costs = _costs(nodes, store.rows(_CALLS, given), store.rows(_PARENTS, given))
    visits: dict[str, dict[int, list[dict[str, Any]]]] = {}
    for node in nodes:
        visits.setdefault(node["name"], {}).setdefault(by_run[node["trace_id"], node["parent_span_id"]], []).append(node)
    well = {number for number, run in enumerate(runs) if run["status"] != "error"}
    return Past(
        workflow,
        len(runs),
        len(runs) - len(well),
        runs[0]["start_ns"],
        runs[0]["duration_ns"],
        {node_id: _node(node_id, of_runs, well, costs) for node_id, of_runs in visits.items()},
    )


_Key = tuple[str, str]


def _node(node_id: str, of_runs: dict[int, list[dict[str, Any]]], well: set[int], costs: dict[_Key, float | None]) -> NodePast:
    durations = {run: sum(visit["duration_ns"] for visit in visits) for run, visits in of_runs.items()}
    totals = {run: _sum(costs.get((visit["trace_id"], visit["span_id"]), 0.0) for visit in visits) for run, visits in of_runs.items()}
    known = [total for total in totals.values() if total is not None]
    last = min(of_runs)  # runs are numbered from the newest
    return NodePast(
        node_id,
        len(of_runs),
        len(well & of_runs.keys()) / len(well) if well else None,
        max(visit["start_ns"] for visit in of_runs[last]),
        durations[last],
        round(median(durations.values())),
        totals[last],
        median(known) if known else None,
    )


def _sum(costs: Iterable[float | None]) -> float | None:
    total = 0.0
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


def _costs(nodes: Sequence[dict[str, Any]], calls: Sequence[dict[str, Any]], parents: Sequence[dict[str, Any]]) -> dict[_Key, float | None]:
    """Node span -> the cost of the model calls within it; a node without any is not there."""
    ours = {(node["trace_id"], node["span_id"]) for node in nodes}
    above = {(row["trace_id"], row["span_id"]): row["parent_span_id"] for row in parents}
    found: dict[_Key, float | None] = {}
    for call in calls:
        trace_id, place = call["trace_id"], call["parent_span_id"]
        seen = set()
        while place and (trace_id, place) not in ours and place not in seen:
            seen.add(place)
            place = above.get((trace_id, place), "")
        if (trace_id, place) in ours:
            found[trace_id, place] = _sum((found.get((trace_id, place), 0.0), call["cost_usd"]))
    return found


_RUNS = """SELECT trace_id, span_id, status, start_ns, duration_ns FROM spans
WHERE kind = 'workflow' AND workflow = {name:String} AND state = 'ended'
ORDER BY start_ns DESC, trace_id, span_id LIMIT {limit:UInt64}"""
_NODES = """SELECT trace_id, span_id, parent_span_id, name, start_ns, duration_ns FROM spans
WHERE trace_id IN {traces:Array(String)} AND kind = 'node' AND state = 'ended' AND parent_span_id IN {runs:Array(String)}"""
_CALLS = "SELECT trace_id, parent_span_id, cost_usd FROM model_calls WHERE trace_id IN {traces:Array(String)}"
_PARENTS = """SELECT trace_id, span_id, parent_span_id FROM span_records FINAL
WHERE trace_id IN {traces:Array(String)} AND span_id IN (SELECT parent_span_id FROM span_records WHERE trace_id IN {traces:Array(String)})"""
