"""Only what ``clew/__init__.py`` lists is public; a change of this list is a change of the interface."""

from __future__ import annotations

import types

import clew

NAMES = [
    *("Processor", "Refused", "Span", "Stats", "Usage", "agent", "attached", "current_span", "decision", "embedding", "evaluation"),
    *("execution", "flush", "gate", "git", "init", "llm", "memory", "message", "node", "propagate", "retrieval", "shutdown", "span"),
    *("BudgetExceeded", "GateFailed", "LoopDetected", "budget", "checks", "runaway"),
    *("MetricsServer", "metric", "metrics_collector", "serve_metrics"),
    *("Repository", "dispatch_metrics", "estimate_llm_cost", "git_metrics", "llm_metrics", "task_metrics", "update_task_state_gauges"),
    *("stats", "task", "tool", "traceparent", "tracer_provider", "workflow"),
    *("PersonaMetricsCollector", "WorkflowTracer", "get_persona_metrics", "reset_persona_metrics", "trace_workflow"),
    *("ObservableLLM", "observe_llm", "instrument", "uninstrument", "labels"),
    *("LangfuseIntegration", "get_langfuse_integration"),
]


def test_the_public_names() -> None:
    assert clew.__all__ == sorted(NAMES)


def test_every_public_name_exists_and_says_what_it_is() -> None:
    for name in clew.__all__:
        assert getattr(clew, name).__doc__, name


def test_nothing_else_looks_public() -> None:
    others = {name for name in vars(clew) if not name.startswith("_")} - set(clew.__all__) - {"TYPE_CHECKING", "Any"}
    assert not {name for name in others if not isinstance(getattr(clew, name), types.ModuleType)}
