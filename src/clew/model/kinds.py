"""The kinds of span, and how a kind is told from the operation names of the field."""

from __future__ import annotations

from typing import Literal, get_args

Kind = Literal[
    "workflow",
    "node",
    "agent",
    "llm",
    "tool",
    "decision",
    "message",
    "memory",
    "retrieval",
    "embedding",
    "git",
    "task",
    "execution",
    "gate",
    "evaluation",
    "other",
]

KINDS: tuple[Kind, ...] = get_args(Kind)

Status = Literal["ok", "error", "unset"]
"""How a span ended; the order is OTLP's code: unset 0, ok 1, error 2."""

STATUS_CODES: dict[Status, int] = {"unset": 0, "ok": 1, "error": 2}

OPERATION_OF: dict[Kind, str] = {
    "workflow": "invoke_workflow",
    "agent": "invoke_agent",
    "llm": "chat",
    "tool": "execute_tool",
    "retrieval": "retrieval",
    "embedding": "embeddings",
}
"""``gen_ai.operation.name`` that our own recorder emits for a kind, unless the caller names another."""
