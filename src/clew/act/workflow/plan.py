"""What a run would do, how long it would take and what it would cost, as far as earlier runs tell. Nothing is executed.

Unknown is None, and the nodes that make it so are named: never 0, never a guess.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal, Protocol

from clew.act.workflow.document import DEFAULT, ERROR, Document, Node
from clew.act.workflow.draft import SUB_WORKFLOW

Status = Literal["execute", "conditional", "on_error"]
"""``execute``: runs unless something fails before it; ``conditional``: an action decides; ``on_error``: only when something fails."""

NO_MODEL: Final = frozenset({"read_file", "write_file", "git"})
"""Node types that can make no model call. A shell command, a function or an address may."""
DEEPEST: Final = 20
"""Sub-workflows inside one another."""


class NodePast(Protocol):
    """One node in earlier runs; figures of a whole run, however often it ran in it."""

    @property
    def share(self) -> float | None: ...
    @property
    def last_start_ns(self) -> int: ...
    @property
    def last_duration_ns(self) -> int: ...
    @property
    def median_duration_ns(self) -> int: ...
    @property
    def last_cost_usd(self) -> float | None: ...
    @property
    def median_cost_usd(self) -> float | None: ...


class Past(Protocol):
    """Earlier runs of a workflow."""

    @property
    def runs(self) -> int: ...
    @property
    def failed(self) -> int: ...
    @property
    def last_start_ns(self) -> int: ...
    @property
    def last_duration_ns(self) -> int: ...
    @property
    def nodes(self) -> Mapping[str, NodePast]: ...


History = Callable[[str], Past | None]
"""Workflow name -> its earlier runs; None when there are none."""
Load = Callable[[Node], Document | None]
"""Node of type ``workflow`` -> what it would run; None when that is decided at run time."""


@dataclass(frozen=True, slots=True)
class Step:
    """One node of the plan. ``last_…`` are of the last run that it ran in, all of its visits together."""

    node_id: str
    node_type: str
    status: Status
    last_duration_ms: float | None
    last_run_age_sec: float | None
    last_cost_usd: float | None
    estimated_duration_ms: float | None
    """For one run; of a conditional node the median times the share of runs that took it."""
    estimated_cost_usd: float | None
    batch: int | None
    """How many items it would run for; None without a batch, and where the list is known at run time only."""
    is_batch: bool
    sub_workflow: str | None
    """Name of the workflow that it runs; None where that is decided at run time."""


@dataclass(frozen=True, slots=True)
class Summary:
    """The plan in figures."""

    total: int
    execute_count: int
    conditional_count: int
    on_error_count: int
    execute_by_type: dict[str, int]
    """Nodes that execute or may; sub-workflows count as one node."""
    estimated_cost_usd: float | None
    """For a run in which nothing fails; None when any node's is not known, then ``partial_cost_usd`` is the rest."""
    partial_cost_usd: float
    nodes_without_history: list[str]
    """Nodes whose cost is not known."""
    estimated_duration_ms: float | None
    partial_duration_ms: float
    nodes_without_duration_history: list[str]
    unknown_batches: list[str]
    """Batches whose number of items is not known; their figures are those of as many items as there were before."""
    cost_basis: str
    runs: int
    """Earlier runs that were looked at."""
    failed_runs: int
    last_run_age_sec: float | None
    last_run_duration_ms: float | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would do, in the order of the document's edges; what runs only after an error comes last."""

    workflow: str
    steps: list[Step]
    summary: Summary

    def to_json(self) -> dict[str, Any]:
        """``{"workflow", "plan": [...], "summary": {...}}``; unknown figures are null."""
        return {"workflow": self.workflow, "plan": [asdict(step) for step in self.steps], "summary": asdict(self.summary)}


def plan(document: Document, history: History, *, now_ns: int, load: Load = lambda node: None) -> Plan:
    """The plan of a checked document.

    :param history: asked for the document's name, and for those of sub-workflows whose node never ran
    :param now_ns: time since 1970 that ages are counted to
    """
    return _plan(document, history, load, now_ns, 0)


def _plan(document: Document, history: History, load: Load, now_ns: int, depth: int) -> Plan:
    past = history(document.name)
    nodes = {node.id: node for node in document.nodes}
    steps = []
    for node_id, status in _order(document):
        node = nodes[node_id]
        known = past.nodes.get(node_id) if past is not None else None
        child = load(node) if node.type == SUB_WORKFLOW and depth < DEEPEST else None
        inside = _plan(child, history, load, now_ns, depth + 1).summary if child is not None and known is None else None
        steps.append(_step(node, status, known, child, inside, now_ns))
    return Plan(document.name, steps, _summary(steps, past, now_ns))


def _order(document: Document) -> Iterable[tuple[str, Status]]:
    """The nodes that a run can reach, breadth first, each with its status."""
    following: dict[str, dict[str, str]] = {node.id: {} for node in document.nodes}
    for edge in document.edges:
        following[edge.source][edge.action] = edge.target
    start = document.start or document.nodes[0].id
    certain: dict[str, None] = {}
    place: str | None = start
    while place is not None and place not in certain:
        certain[place] = None
        place = following[place].get(DEFAULT) if following[place].keys() <= {DEFAULT, ERROR} else None
    normal = _reached(start, following, with_errors=False)
    for node_id in dict.fromkeys([*normal, *_reached(start, following, with_errors=True)]):
        yield node_id, "execute" if node_id in certain else "conditional" if node_id in normal else "on_error"


def _reached(start: str, following: Mapping[str, Mapping[str, str]], *, with_errors: bool) -> list[str]:
    found = {start: None}
    waiting = [start]
    for place in waiting:
        for action, target in following[place].items():
            if target not in found and (with_errors or action != ERROR):
                found[target] = None
                waiting.append(target)
    return waiting


def _step(node: Node, status: Status, known: NodePast | None, child: Document | None, inside: Summary | None, now_ns: int) -> Step:
    duration: float | None = None
    cost: float | None = 0.0 if node.type in NO_MODEL else None
    weight = 1.0
    if known is not None:
        duration, cost = known.median_duration_ns / 1e6, known.median_cost_usd
        if status == "conditional":
            if known.share is None:
                duration = cost = None
            else:
                weight = known.share
    elif inside is not None and node.batch is None:
        duration, cost = inside.estimated_duration_ms, inside.estimated_cost_usd
    items = node.batch.items if node.batch is not None else None
    return Step(
        node_id=node.id,
        node_type=node.type,
        status=status,
        last_duration_ms=_ms(known.last_duration_ns) if known is not None else None,
        last_run_age_sec=_age(known.last_start_ns, now_ns) if known is not None else None,
        last_cost_usd=_usd(known.last_cost_usd) if known is not None else None,
        estimated_duration_ms=round(duration * weight, 2) if duration is not None else None,
        estimated_cost_usd=_usd(cost * weight) if cost is not None else None,
        batch=len(items) if isinstance(items, list) else None,
        is_batch=node.batch is not None,
        sub_workflow=child.name if child is not None else None,
    )


def _summary(steps: Sequence[Step], past: Past | None, now_ns: int) -> Summary:
    counts = Counter(step.status for step in steps)
    counted = [step for step in steps if step.status != "on_error"]
    costs = [step.estimated_cost_usd for step in counted]
    durations = [step.estimated_duration_ms for step in counted]
    partial_cost, partial_duration = _known(costs), _known(durations)
    return Summary(
        total=len(steps),
        execute_count=counts["execute"],
        conditional_count=counts["conditional"],
        on_error_count=counts["on_error"],
        execute_by_type=dict(sorted(Counter(step.node_type for step in counted).items())),
        estimated_cost_usd=None if None in costs else _usd(partial_cost),
        partial_cost_usd=round(partial_cost, 6),
        nodes_without_history=[step.node_id for step in counted if step.estimated_cost_usd is None],
        estimated_duration_ms=None if None in durations else round(partial_duration, 2),
        partial_duration_ms=round(partial_duration, 2),
        nodes_without_duration_history=[step.node_id for step in counted if step.estimated_duration_ms is None],
        unknown_batches=[step.node_id for step in counted if step.is_batch and step.batch is None],
        cost_basis=_basis(past),
        runs=past.runs if past is not None else 0,
        failed_runs=past.failed if past is not None else 0,
        last_run_age_sec=_age(past.last_start_ns, now_ns) if past is not None else None,
        last_run_duration_ms=_ms(past.last_duration_ns) if past is not None else None,
    )


def _basis(past: Past | None) -> str:
    if past is None:
        return "no earlier run"
    return f"median of {'the only earlier run' if past.runs == 1 else f'the last {past.runs} runs'}, recorded model calls only"


def _known(figures: Iterable[float | None]) -> float:
    return sum(figure for figure in figures if figure is not None)


def _ms(ns: int) -> float:
    return round(ns / 1e6, 2)


def _usd(cost: float | None) -> float | None:
    return None if cost is None else round(cost, 6)


def _age(then_ns: int, now_ns: int) -> float:
    return round(max(now_ns - then_ns, 0) / 1e9, 1)
