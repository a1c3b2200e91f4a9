"""Clew: record a program made of agents, keep the record, and read it back."""

from typing import TYPE_CHECKING, Any

from clew.record.control import current_span, flush, init, shutdown, stats, tracer_provider
from clew.record.instruments.functions import (
    agent,
    decision,
    embedding,
    evaluation,
    execution,
    gate,
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
from clew.record.processor import Processor, Refused
from clew.record.propagation import attached, propagate, traceparent
from clew.record.span import Span
from clew.record.stats import Stats

if TYPE_CHECKING:
    from clew.model.usage import Usage

__all__ = [
    "Processor",
    "Refused",
    "Span",
    "Stats",
    "Usage",
    "agent",
    "attached",
    "current_span",
    "decision",
    "embedding",
    "evaluation",
    "execution",
    "flush",
    "gate",
    "git",
    "init",
    "llm",
    "memory",
    "message",
    "node",
    "propagate",
    "retrieval",
    "shutdown",
    "span",
    "stats",
    "task",
    "tool",
    "traceparent",
    "tracer_provider",
    "workflow",
]


def __getattr__(name: str) -> Any:
    if name == "Usage":  # what reads providers' usage loads with its first use
        from clew.model.usage import Usage

        return Usage
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
