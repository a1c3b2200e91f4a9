"""persona-overview: which persona works, for how long, and what is left of its tokens."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.panel import Budgets, Dashboard, MetricOf, Panel, Threshold

_SWITCHES = "hypertool_persona_switches_total"

OVERVIEW: Final = Dashboard(
    "persona-overview",
    "Persona overview",
    "Which persona works, for how long, and what is left of its tokens.",
    (
        Panel("switches", "Switches per minute", "line", MetricOf(_SWITCHES, ("per_minute",), ("from_persona", "to_persona")), width=6),
        Panel("duration", "How long a persona works", "heatmap", MetricOf("hypertool_persona_duration_seconds", ("buckets",)), width=6),
        Panel(
            "tokens",
            "Tokens by persona",
            "bars",
            MetricOf("hypertool_persona_tokens_used_total", ("total",), ("persona",)),
            width=6,
            thresholds=(Threshold("warning", 1500), Threshold("error", 1800)),
            per_hour=True,
        ),
        Panel(
            "budget",
            "Tokens left",
            "bars",
            MetricOf("hypertool_persona_token_budget_remaining", ("last",), ("persona",)),
            width=6,
            thresholds=(Threshold("error"), Threshold("warning", 500), Threshold("ok", 1000)),
            help="Of each persona's budget; negative once it is overspent.",
        ),
        Panel(
            "transitions",
            "Most frequent switches",
            "table",
            MetricOf(_SWITCHES, ("total",), ("from_persona", "to_persona", "chatmode")),
            width=6,
            thresholds=(Threshold("warning", 5), Threshold("error", 10)),
            per_hour=True,
        ),
        Panel("budgets", "Budgets of personas", "gauge", Budgets("persona"), width=6),
    ),
    "python examples/package_release/personas.py",
)
