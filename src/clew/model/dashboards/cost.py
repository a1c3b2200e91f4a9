"""cost-tracking: what is spent, by whom, and what the month will come to."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.panel import Budgets, Costs, Dashboard, Panel, Spans, Spend

TRACKING: Final = Dashboard(
    "cost-tracking",
    "Cost tracking",
    "What is spent, by whom, and what the month will come to.",
    (
        Panel("spend", "Spend", "stat", Spend(), width=12, help="The projection is the rate of the period, kept up until the month ends."),
        Panel("over-time", "Spend by model", "line", Spans(("cost",), "", "model"), width=6),
        Panel("tokens", "Tokens by model", "line", Spans(("tokens",), "", "model"), width=6),
        Panel(
            "cost-by",
            "Cost by",
            "table",
            Costs(("model", "agent", "persona", "workflow", "session", "commit", "provider", "service")),
            width=12,
            limit=20,
        ),
        Panel(
            "budgets",
            "Budgets",
            "gauge",
            Budgets(),
            width=12,
            fill="clew budgets set daily --usd 5 --window day",
        ),
    ),
    "python examples/fix_issue/main.py",
)
