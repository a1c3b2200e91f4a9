"""agent-overview: what agents do, how well, and what they use."""

from __future__ import annotations

from typing import Final

from clew.model.dashboards.panel import Dashboard, MetricOf, Panel, Spans, Threshold

FAILING: Final = (Threshold("warning", 0.05), Threshold("error", 0.2))

OVERVIEW: Final = Dashboard(
    "agent-overview",
    "Agent overview",
    "What agents do, how well, and what they use.",
    (
        Panel("agents", "Agents", "stat", Spans(("spans", "error_rate"), "kind:agent"), width=3, thresholds=FAILING),
        Panel("at-work", "At work now", "stat", MetricOf("agent_active", ("last",)), width=3, help="Agents whose span is open."),
        Panel("usage", "Tokens and cost", "stat", Spans(("tokens", "cost")), width=3),
        Panel(
            "waiting",
            "Tasks that wait",
            "stat",
            MetricOf("task_queue_size", ("last",)),
            width=3,
            thresholds=(Threshold("error", 100),),
            fill='clew.metric("task_queue_size").labels(priority="high").set(3)',
        ),
        Panel("work", "Spans by agent", "line", Spans(("spans",), "agent:*", "agent"), width=6),
        Panel("burn", "Tokens by agent", "line", Spans(("tokens",), "agent:*", "agent"), width=6, help="Of the model calls of each agent."),
        Panel(
            "by-agent",
            "By agent",
            "table",
            Spans(("spans", "errors", "p50", "p95", "calls", "tokens", "cost"), "agent:*", "agent"),
            width=12,
            limit=20,
            help="All spans that belong to an agent.",
        ),
        Panel("tools", "Tools", "table", Spans(("spans", "error_rate", "p95"), "tool:*", "tool"), width=6, thresholds=FAILING),
        Panel("trend", "Failed share by kind", "line", Spans(("error_rate",), "kind:(agent,llm,tool,task)", "kind"), width=6),
    ),
    "python examples/fix_issue/main.py",
)
