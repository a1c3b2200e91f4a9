"""performance: latency, throughput, and what became slower."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.agents import FAILING
from clew.model.dashboards.panel import Dashboard, Operations, Panel, Spans, Threshold

_SLOWER: Final = (Threshold("warning", 0.2), Threshold("error", 0.5))

PERFORMANCE: Final = Dashboard(
    "performance",
    "Performance",
    "How fast it is, how much goes through, and what became slower.",
    (
        Panel("latency-now", "Latency of all spans", "stat", Spans(("p50", "p95", "p99"), compare=True), width=6),
        Panel("load", "Load", "stat", Spans(("per_minute", "error_rate"), compare=True), width=6, thresholds=FAILING),
        Panel("latency", "Latency of all spans", "line", Spans(("p50", "p95", "p99")), width=6),
        Panel("throughput", "Throughput", "line", Spans(("per_minute",)), width=6),
        Panel("slowest", "Slowest operations", "table", Operations("slowest"), width=12, help="Among the 1,000 most frequent."),
        Panel(
            "regression",
            "Slower than before",
            "table",
            Operations("regression"),
            width=12,
            thresholds=_SLOWER,
            help="Change of the p95 since the period before, of the same length; operations with at least 5 spans in both.",
            none="No operation became slower, among those that can be compared.",
        ),
        Panel("by-kind", "p95 by kind of span", "line", Spans(("p95",), "", "kind"), width=6),
        Panel("models", "Models", "table", Spans(("calls", "p50", "p95", "error_rate"), "model:*", "model"), width=6, thresholds=FAILING),
    ),
    "python examples/fix_issue/main.py",
)
