"""workflow-performance: stages of workflows and their quality gates."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.panel import Dashboard, MetricOf, Panel, Threshold

_STAGE = "hypertool_workflow_stage_duration_seconds"
_GATE = "hypertool_workflow_quality_gate_total"
_SLOW: Final = (Threshold("warning", 30), Threshold("error", 60))
_PASSED: Final = (Threshold("error"), Threshold("warning", 0.8), Threshold("ok", 0.95))

PERFORMANCE: Final = Dashboard(
    "workflow-performance",
    "Workflow performance",
    "How long the stages of workflows take, and which quality gates they pass.",
    (
        Panel(
            "gates", "Gates passed", "stat", MetricOf(_GATE, ("share", "total"), where={"result": "passed"}), width=4, thresholds=_PASSED
        ),
        Panel(
            "gates-of",
            "Gates passed by workflow",
            "bars",
            MetricOf(_GATE, ("share",), ("workflow",), {"result": "passed"}),
            width=4,
            thresholds=_PASSED,
        ),
        Panel(
            "failed",
            "Failed gates",
            "bars",
            MetricOf(_GATE, ("total",), ("workflow", "stage"), {"result": "failed"}),
            width=4,
            thresholds=(Threshold("warning", 1), Threshold("error", 5)),
            per_hour=True,
            none="No gate failed.",
        ),
        Panel("stages", "Duration of stages", "line", MetricOf(_STAGE, ("p50", "p95")), width=6, thresholds=_SLOW),
        Panel("results", "Gates over time", "line", MetricOf(_GATE, ("total",), ("workflow", "result")), width=6),
        Panel(
            "slowest",
            "Slowest stages",
            "table",
            MetricOf(_STAGE, ("p95", "p50", "count"), ("workflow", "stage", "persona")),
            width=12,
            thresholds=_SLOW,
        ),
    ),
    "python examples/package_release/personas.py",
)
