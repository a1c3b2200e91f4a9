"""Agents, their tools and memory, and what serves them."""

from __future__ import annotations

from typing import Final

from clew.model import attributes as names
from clew.model.catalogue.metric import NAME, STATUS, Derived, Label, Metric

_MEMORY_TYPE: Final = Label("memory_type", (names.MEMORY_TYPE,))

METRICS: Final = (
    Metric(
        "agent_active",
        "gauge",
        "Agents at work",
        (Label("type", (names.AGENT_NAME, NAME)),),
        derived=(Derived("agent", "active"),),
    ),
    Metric(
        "agent_execution_total",
        "counter",
        "Agents that came to their end",
        (
            Label("agent_type", (names.AGENT_NAME, NAME)),
            Label("status", (STATUS,), ("success", "failure"), {"ok": "success", "unset": "success", "error": "failure"}),
        ),
        derived=(Derived("agent", "count"),),
    ),
    Metric(
        "tool_usage_total",
        "counter",
        "Tool calls",
        (
            Label("tool_name", (names.TOOL_NAME,)),
            Label("success", (STATUS,), ("true", "false"), {"ok": "true", "unset": "true", "error": "false"}),
        ),
        derived=(Derived("tool", "count"),),
    ),
    Metric("task_queue_size", "gauge", "Tasks that wait for a worker", (Label("priority"),)),
    Metric(
        "memory_operation_duration",
        "summary",
        "Time of an access to memory",
        (Label("operation", (names.OPERATION,)), _MEMORY_TYPE),
        unit="ms",
        quantiles=(0.5, 0.9, 0.95, 0.99),
        derived=(Derived("memory", "duration", scale=1000.0),),
    ),
    Metric("memory_size_bytes", "gauge", "What a memory holds", (_MEMORY_TYPE,), unit="byte", across="last"),
    Metric(
        "api_request_duration",
        "histogram",
        "Time of a request to the server's interface",
        (Label("method"), Label("path"), Label("status_code")),
        unit="s",
        buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
    ),
    Metric("database_connections", "gauge", "Connections to a database", (Label("state"),)),
    Metric("redis_connections", "gauge", "Connections to Redis", (Label("state"),)),
)
