"""Jaeger's query API in its own JSON shapes (jaeger-ui and Grafana's Jaeger data source read them): traces, services, operations, dependencies.

Source of the shapes: jaeger's internal/uimodel (Trace, Span, KeyValue, Reference, Process). Times are microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from clew.observe.query.classic import ClassicSpan
from clew.observe.query.operations import Dependency

Json = dict[str, Any]

KINDS = ("unspecified", "internal", "server", "client", "producer", "consumer")

_LARGEST = (1 << 53) - 1


def answer(data: Any, *, total: int | None = None) -> Json:
    """The envelope of every answer."""
    return {"data": data, "total": len(data) if total is None and data is not None else total or 0, "limit": 0, "offset": 0, "errors": None}


def error(status: int, message: str, trace_id: str | None = None) -> Json:
    """The envelope of what cannot be answered."""
    problem: Json = {"code": status, "msg": message}
    if trace_id is not None:
        problem["traceID"] = trace_id
    return {"data": None, "total": 0, "limit": 0, "offset": 0, "errors": [problem]}


def trace(trace_id: str, spans: list[ClassicSpan]) -> Json:
    """One trace. Programs are processes ``p1``, ``p2``, … by service and resource."""
    processes: dict[tuple[str, tuple[tuple[str, Any], ...]], str] = {}
    known = {span.span_id for span in spans}
    shown = []
    for span in spans:
        key = (span.service, tuple(span.resource.items()))
        shown.append(_span(span, processes.setdefault(key, f"p{len(processes) + 1}"), known))
    return {
        "traceID": trace_id,
        "spans": shown,
        "processes": {
            name: {"serviceName": service, "tags": [tag(key, value) for key, value in resource if key != "service.name"]}
            for (service, resource), name in processes.items()
        },
        "warnings": None,
    }


def _span(span: ClassicSpan, process: str, known: set[str]) -> Json:
    references = [_reference("CHILD_OF", span.trace_id, span.parent_span_id)] if span.parent_span_id else []
    references += [_reference("FOLLOWS_FROM", trace_id, span_id) for trace_id, span_id, _ in span.links]
    tags = [tag(key, value) for key, value in (_own_tags(span) | span.scope_attributes | span.attributes).items()]
    tags += [tag(key, value) for _, _, attributes in span.links for key, value in attributes.items()]
    warnings = []
    if not span.ended:
        warnings.append("this span has not ended; it is shown without a duration")
    if span.parent_span_id and span.parent_span_id not in known:
        warnings.append(f"its parent {span.parent_span_id} is not here")
    return {
        "traceID": span.trace_id,
        "spanID": span.span_id,
        "operationName": span.name,
        "references": references,
        "startTime": span.start_ns // 1000,
        "duration": span.duration_ns // 1000,
        "tags": tags,
        "logs": [
            {"timestamp": at // 1000, "fields": [tag("event", name), *(tag(*item) for item in attributes.items())]}
            for at, name, attributes in span.events
        ],
        "processID": process,
        "warnings": warnings or None,
    }


def _own_tags(span: ClassicSpan) -> dict[str, Any]:
    """What OpenTelemetry has in fields and Jaeger in tags."""
    found: dict[str, Any] = {}
    if 0 < span.otel_kind < len(KINDS):
        found["span.kind"] = KINDS[span.otel_kind]
    if span.status != "unset":
        found["otel.status_code"] = span.status.upper()
    if span.status == "error":
        found["error"] = True
    for name, value in (
        ("otel.status_description", span.status_message),
        ("otel.scope.name", span.scope_name),
        ("otel.scope.version", span.scope_version),
        ("w3c.tracestate", span.trace_state),
    ):
        if value:
            found[name] = value
    return found


def _reference(kind: str, trace_id: str, span_id: str) -> Json:
    return {"refType": kind, "traceID": trace_id, "spanID": span_id}


def tag(key: str, value: Any) -> Json:
    """A typed key and value. An integer that JavaScript would round is a text, as Jaeger has it."""
    match value:
        case bool():
            return {"key": key, "type": "bool", "value": value}
        case int():
            return {"key": key, "type": "int64", "value": value if abs(value) <= _LARGEST else str(value)}
        case float():
            return {"key": key, "type": "float64", "value": value if math.isfinite(value) else str(value)}
        case _:
            return {"key": key, "type": "string", "value": str(value)}


def operation(name: str, kind: int) -> Json:
    return {"name": name, "spanKind": KINDS[kind] if 0 < kind < len(KINDS) else ""}


def dependency(found: Dependency) -> Json:
    return {"parent": found.parent, "child": found.child, "callCount": found.calls}


def tags_of(given: Mapping[str, Any]) -> dict[str, str]:
    """Tags of a question as texts: JSON's ``true`` and ``5`` are what a typed value's text is."""
    return {key: value if isinstance(value, str) else _text(value) for key, value in given.items()}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)
