"""Clew: record a program made of agents, keep the record, and read it back."""

from typing import TYPE_CHECKING, Any

from clew.errors import BudgetExceeded, GateFailed, LoopDetected
from clew.record.control import current_span, flush, init, shutdown, stats, tracer_provider
from clew.record.instruments.functions import (
    agent,
    decision,
    embedding,
    evaluation,
    execution,
    git,
    llm,
    memory,
    message,
    node,
    retrieval,
    span,
    task,
    tool,
    workflow,
)
from clew.record.instruments.gates.gate import gate
from clew.record.processor import Processor, Refused
from clew.record.propagation import attached, propagate, traceparent
from clew.record.span import Span
from clew.record.stats import Stats

if TYPE_CHECKING:
    from clew.connect.frameworks.instrumentation import instrument, uninstrument
    from clew.connect.langfuse.integration import LangfuseIntegration, get_langfuse_integration
    from clew.model.usage import Usage
    from clew.record import labels
    from clew.record.calls.observed import ObservableLLM, observe_llm
    from clew.record.instruments.gates import checks
    from clew.record.instruments.git.repository import Repository
    from clew.record.instruments.orchestrator.merges import git_metrics
    from clew.record.instruments.orchestrator.requests import estimate_llm_cost, llm_metrics
    from clew.record.instruments.orchestrator.tasks import dispatch_metrics, task_metrics, update_task_state_gauges
    from clew.record.instruments.personas.collector import PersonaMetricsCollector, get_persona_metrics, reset_persona_metrics
    from clew.record.instruments.personas.tracer import WorkflowTracer, trace_workflow
    from clew.record.limits.blocks import budget, runaway
    from clew.record.metrics.endpoint import MetricsServer, metrics_collector, serve_metrics
    from clew.record.metrics.handles import metric

__all__ = [
    "BudgetExceeded",
    "GateFailed",
    "LangfuseIntegration",
    "LoopDetected",
    "MetricsServer",
    "ObservableLLM",
    "PersonaMetricsCollector",
    "Processor",
    "Refused",
    "Repository",
    "Span",
    "Stats",
    "Usage",
    "WorkflowTracer",
    "agent",
    "attached",
    "budget",
    "checks",
    "current_span",
    "decision",
    "dispatch_metrics",
    "embedding",
    "estimate_llm_cost",
    "evaluation",
    "execution",
    "flush",
    "gate",
    "get_langfuse_integration",
    "get_persona_metrics",
    "git",
    "git_metrics",
    "init",
    "instrument",
    "labels",
    "llm",
    "llm_metrics",
    "memory",
    "message",
    "metric",
    "metrics_collector",
    "node",
    "observe_llm",
    "propagate",
    "reset_persona_metrics",
    "retrieval",
    "runaway",
    "serve_metrics",
    "shutdown",
    "span",
    "stats",
    "task",
    "task_metrics",
    "tool",
    "trace_workflow",
    "traceparent",
    "tracer_provider",
    "uninstrument",
    "update_task_state_gauges",
    "workflow",
]


_LATER = {
    "Repository": "clew.record.instruments.git.repository",
    "dispatch_metrics": "clew.record.instruments.orchestrator.tasks",
    "estimate_llm_cost": "clew.record.instruments.orchestrator.requests",
    "git_metrics": "clew.record.instruments.orchestrator.merges",
    "llm_metrics": "clew.record.instruments.orchestrator.requests",
    "task_metrics": "clew.record.instruments.orchestrator.tasks",
    "update_task_state_gauges": "clew.record.instruments.orchestrator.tasks",
    **dict.fromkeys(
        ("PersonaMetricsCollector", "get_persona_metrics", "reset_persona_metrics"), "clew.record.instruments.personas.collector"
    ),
    **dict.fromkeys(("WorkflowTracer", "trace_workflow"), "clew.record.instruments.personas.tracer"),
    **dict.fromkeys(("LangfuseIntegration", "get_langfuse_integration"), "clew.connect.langfuse.integration"),
    "MetricsServer": "clew.record.metrics.endpoint",
    "ObservableLLM": "clew.record.calls.observed",
    "Usage": "clew.model.usage",
    "budget": "clew.record.limits.blocks",
    "checks": "clew.record.instruments.gates.checks",
    "instrument": "clew.connect.frameworks.instrumentation",
    "labels": "clew.record.labels",
    "metric": "clew.record.metrics.handles",
    "metrics_collector": "clew.record.metrics.endpoint",
    "observe_llm": "clew.record.calls.observed",
    "runaway": "clew.record.limits.blocks",
    "serve_metrics": "clew.record.metrics.endpoint",
    "uninstrument": "clew.connect.frameworks.instrumentation",
}
"""Names that load with their first use, and where they are: `import clew` stays quick."""


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(_LATER[name])
    return module if module.__name__.endswith(f".{name}") else getattr(module, name)
