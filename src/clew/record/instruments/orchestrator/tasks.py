"""``task_metrics`` and ``dispatch_metrics``: tasks that are handed out to workers, and the loop that does it."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from clew.model import attributes as names
from clew.record.guard import fault
from clew.record.instruments.functions import task
from clew.record.metrics import inside
from clew.record.metrics.handles import Measure, metric

Metadata = dict[str, Any]

STATES: Final = ("planned", "ready", "active", "awaiting_qa", "complete", "failed", "waiting_human", "blocked")
"""States that are shown with 0 when no task is in them. Any other that occurs is shown as well."""


class TaskMetrics:
    """The task metrics of the catalogue, and blocks that give them."""

    def __init__(self) -> None:
        self.execution_duration: Measure = metric("task_execution_duration_seconds")
        self.director_cycle_duration: Measure = metric("director_cycle_duration_seconds")
        self.completion_total: Measure = metric("task_completion_total")
        self.retry_count: Measure = metric("task_retry_count")
        self.tasks_by_state: Measure = metric("tasks_by_state")
        self.active_workers: Measure = metric("active_workers")
        self.phoenix_retry_total: Measure = metric("phoenix_retry_total")
        self.hitl_escalation_total: Measure = metric("hitl_escalation_total")

    @contextmanager
    def track_task(self, worker_profile: str, phase: str, *, task_id: str | None = None) -> Iterator[Metadata]:
        """A task in a worker's hands, as a span of kind task. ``status`` of the mapping: success, failed or retry; an exception makes it
        error. ``retry_count``: how often it was tried again before."""
        metadata: Metadata = {"status": "success", "retry_count": None}
        span = task(task_id or phase, worker_profile=worker_profile, phase=phase)
        span.set(names.TASK_ID, task_id)
        with inside.within(span), span:
            try:
                yield metadata
            except BaseException:
                metadata["status"] = "error"
                raise
            finally:
                span.set(names.TASK_STATUS, metadata["status"])
                span.set(names.TASK_RETRIES, metadata["retry_count"])
                if metadata["status"] == "failed":
                    span.fail("the task failed")

    @contextmanager
    def track_director_cycle(self) -> Iterator[None]:
        """One cycle of the director."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.director_cycle_duration.observe(time.perf_counter() - began)


class DispatchMetrics:
    """The metrics of the dispatch loop."""

    def __init__(self) -> None:
        self.loop_iterations: Measure = metric("dispatch_loop_iterations_total")
        self.loop_cycle_duration: Measure = metric("dispatch_loop_cycle_duration_seconds")
        self.tasks_dispatched_per_cycle: Measure = metric("dispatch_tasks_dispatched_per_cycle")
        self.worker_completions_per_cycle: Measure = metric("dispatch_worker_completions_per_cycle")

    @contextmanager
    def track_cycle(self, run_id: str) -> Iterator[Metadata]:
        """One cycle of the loop; ``dispatched`` and ``completed`` of the mapping: how many tasks."""
        metadata: Metadata = {"dispatched": 0, "completed": 0}
        began = time.perf_counter()
        try:
            yield metadata
        finally:
            self.loop_cycle_duration.observe(time.perf_counter() - began)
            self.loop_iterations.labels(run_id=run_id).inc()
            self.tasks_dispatched_per_cycle.observe(metadata["dispatched"])
            self.worker_completions_per_cycle.observe(metadata["completed"])


task_metrics: Final = TaskMetrics()
dispatch_metrics: Final = DispatchMetrics()

_shown: set[str] = set()
_showing: Final = threading.Lock()


def update_task_state_gauges(tasks: Iterable[Any]) -> None:
    """Set ``tasks_by_state`` to how many of the tasks are in each state.

    :param tasks: mappings with ``status``, or objects that have it; a text, or an enum of texts
    """
    try:
        counts = Counter(map(_state, tasks))
        with _showing:
            _shown.update(STATES, counts)
            for state in sorted(_shown):
                task_metrics.tasks_by_state.labels(status=state).set(counts[state])
    except Exception:
        fault("counting tasks by state")


def _state(task: Any) -> str:
    status = task["status"] if isinstance(task, Mapping) else task.status
    return str(getattr(status, "value", status))
