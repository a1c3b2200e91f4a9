"""task-analytics: how tasks end, how long they take, and where they wait."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.panel import Dashboard, MetricOf, Panel, Threshold

_DURATION = "task_execution_duration_seconds"
_DONE = "task_completion_total"

ANALYTICS: Final = Dashboard(
    "task-analytics",
    "Task analytics",
    "How tasks end, how long they take, and where they wait.",
    (
        Panel("completed", "Tasks that came to an end", "stat", MetricOf(_DONE, ("total", "per_minute")), width=3),
        Panel(
            "success",
            "Success",
            "stat",
            MetricOf(_DONE, ("share",), where={"status": "success"}),
            width=3,
            thresholds=(Threshold("error"), Threshold("warning", 0.8), Threshold("ok", 0.95)),
        ),
        Panel("duration-now", "Duration", "stat", MetricOf(_DURATION, ("p50", "p95")), width=3),
        Panel(
            "waiting",
            "Waiting now",
            "stat",
            MetricOf("task_queue_size", ("last",)),
            width=3,
            thresholds=(Threshold("error", 100),),
            fill='clew.metric("task_queue_size").labels(priority="high").set(3)',
        ),
        Panel("outcomes", "How tasks ended", "line", MetricOf(_DONE, ("total",), ("status",)), width=6),
        Panel("queue", "Queue by priority", "line", MetricOf("task_queue_size", ("last",), ("priority",)), width=6),
        Panel("duration", "Duration", "line", MetricOf(_DURATION, ("p50", "p95")), width=6),
        Panel("spread", "How durations spread", "heatmap", MetricOf(_DURATION, ("buckets",)), width=6),
        Panel(
            "phases",
            "Bottlenecks",
            "table",
            MetricOf(_DURATION, ("sum", "count", "p50", "p95"), ("phase", "worker_profile")),
            width=6,
            help="Where the time goes: the sum of the durations of each phase and worker.",
        ),
        Panel("states", "Tasks by state, now", "bars", MetricOf("tasks_by_state", ("last",), ("status",)), width=3),
        Panel("retries", "Retries of a task", "bars", MetricOf("task_retry_count", ("buckets",)), width=3),
        Panel("workers", "Ended by worker", "bars", MetricOf(_DONE, ("total",), ("worker_profile",)), width=4),
        Panel("again", "Started anew after a failure", "bars", MetricOf("phoenix_retry_total", ("total",), ("phase",)), width=4),
        Panel("handed-over", "Handed to a person", "bars", MetricOf("hitl_escalation_total", ("total",), ("reason",)), width=4),
    ),
    "python examples/orchestrator/main.py",
)
