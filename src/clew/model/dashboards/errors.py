"""errors: what fails, since when, and whom it befalls."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.agents import FAILING
from clew.model.dashboards.panel import Dashboard, Failures, Panel, Spans

ERRORS: Final = Dashboard(
    "errors",
    "Errors",
    "What fails, since when, and whom it befalls.",
    (
        Panel("failed", "Failed spans", "stat", Spans(("errors", "error_rate"), compare=True), width=6, thresholds=FAILING),
        Panel(
            "rate-limits",
            "Requests refused by rate limits",
            "stat",
            Spans(("spans",), "error:rate_limit"),
            width=6,
            none="None.",
        ),
        Panel("over-time", "Failures by type", "line", Spans(("spans",), "status:error", "error"), width=6, none="Nothing failed."),
        Panel("by-agent", "Failures by agent", "line", Spans(("spans",), "status:error", "agent"), width=6, none="Nothing failed."),
        Panel("alike", "Failures that are alike", "table", Failures(), width=12, limit=20, none="Nothing failed."),
        Panel("where", "Where it fails", "bars", Spans(("spans",), "status:error", "name"), width=6, none="Nothing failed."),
        Panel("tools", "Failing tools", "bars", Spans(("spans",), "status:error tool:*", "tool"), width=6, none="Nothing failed."),
    ),
    "python examples/fix_issue/main.py",
)
