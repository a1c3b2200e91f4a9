"""Plans a workflow from words."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from clew.act.workflow.compile import WorkflowFlow
from clew.act.workflow.instrumented import PLANNER_KEY, InstrumentedNodeWrapper
from clew.act.workflow.namespaced import CALLS_KEY, NamespacedNodeWrapper, Store
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.planner.steps import EDGES, REPAIRS, STEPS, Find, Planned, Planning
from clew.errors import ClewError, NodeFailed
from clew.record import state
from clew.record.instruments.functions import agent
from clew.record.noop import NOOP

if TYPE_CHECKING:
    from clew.act.workflow.metrics import MetricsCollector
    from clew.act.workflow.planner.trace import PlannerTraceCollector

AGENT: Final = "planner"
"""Name of the planner's span, the root of a run of its own."""


@dataclass(frozen=True, slots=True)
class PlanResult:
    """How a planning ended, and what is known of it. Its calls, failed ones included, are there either way."""

    status: Literal["ok", "error"]
    planned: Planned | None
    error: str | None
    draft: str | None
    """The document as the model wrote it last, mistakes and all; None when it wrote none."""
    faults: Sequence[str]
    """Known workflows that cannot be used, each with why."""
    calls: list[dict[str, Any]]
    """Entries as in ``__llm_calls__``, with ``is_planner``."""
    run_id: str | None
    """Of the record, 32 hex digits; None when nothing is recorded."""
    duration_ns: int
    trace_path: Path | None


def plan_words(
    words: str,
    *,
    model: str,
    types: Mapping[str, type[NodeType]],
    directories: Sequence[Path] = (),
    given: Mapping[str, Any] | None = None,
    timeout_s: float = 60.0,
    metrics_collector: MetricsCollector | None = None,
    trace_collector: PlannerTraceCollector | None = None,
    record: bool = True,
    watch: Callable[[str], None] | None = None,
) -> PlanResult:
    """Have a model choose a known workflow for ``words``, or write a new one. Nothing of it is run.

    A planning that fails gives a result with status ``error``, not an exception; KeyboardInterrupt goes on once record and trace are closed.

    :param directories: where the known workflows are
    :param given: inputs by name; they go before what the words give, and the model does not see them
    :param timeout_s: longest time in all; the request to the model that is under way then is ended
    :param record: the planning is an ``agent`` span with a ``node`` span for each step, a run apart from the workflow's
    :param watch: is told the id of each step before it runs
    """
    planning = Planning(words, given or {}, model, directories, types, time.monotonic() + timeout_s, timeout_s)
    shared = Store({PLANNER_KEY: True, CALLS_KEY: []})
    flow = _flow(planning, metrics_collector, trace_collector, record, watch)
    started = time.perf_counter_ns()
    error: str | None = None
    run_id: str | None = None
    status = "interrupted"
    trace_path: Path | None = None
    opened: Any = agent(AGENT, model=model) if record else NOOP
    if metrics_collector is not None:
        metrics_collector.record_planner_start()
    try:
        with opened as span:
            if span.trace_id:
                run_id = f"{span.trace_id:032x}"
                span.input(words)
            if trace_collector is not None:
                trace_collector.planning_started(run_id=run_id, model=model)
            flow._run(shared)
            if run_id is not None and planning.planned is not None:
                span.output({"path": planning.planned.path_taken, "workflow": planning.planned.source.data})
        status = "success"
    except NodeFailed as failed:
        status = "failed"
        error = str(failed.__cause__) if isinstance(failed.__cause__, ClewError) else f"planning failed: {failed}"
    finally:
        duration_ns = time.perf_counter_ns() - started
        if metrics_collector is not None:
            metrics_collector.record_planner_end()
        if trace_collector is not None:
            trace_path = trace_collector.planning_ended(
                status,
                path_taken=planning.draft.path_taken if planning.draft is not None else None,
                error=error,
                workflow=planning.planned.source.data if planning.planned is not None else None,
            )
        if run_id is not None:
            state.recorder.write()
    draft = planning.draft
    return PlanResult(
        "ok" if error is None else "error",
        planning.planned if error is None else None,
        error,
        draft.answer["yaml"] if draft is not None and draft.path_taken == "B" else None,
        planning.found.faults,
        shared[CALLS_KEY],
        run_id,
        duration_ns,
        trace_path,
    )


def _flow(
    planning: Planning,
    metrics_collector: MetricsCollector | None,
    trace_collector: PlannerTraceCollector | None,
    record: bool,
    watch: Callable[[str], None] | None,
) -> WorkflowFlow:
    """The steps, each in the wrapper that measures and records the nodes of workflows too."""
    nodes = {
        step: InstrumentedNodeWrapper(
            NamespacedNodeWrapper(step(planning), step.id), step.id, metrics_collector, trace_collector, record=record, node_type=AGENT
        )
        for step in STEPS
    }
    for source, target in EDGES:
        nodes[source].next(nodes[target], target.id)
    return WorkflowFlow(nodes[Find], max_visits=REPAIRS + 2, watch=watch)
