"""Jaeger's query API, version 3, as its UI and Grafana read it: services, operations, traces in short, and whole traces as OTLP/JSON.

Source of the shapes: jaeger-idl's api_v3 QueryService, in protobuf's JSON form: 64-bit numbers are text, an id is hex.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from clew.connect.jaeger import operation
from clew.observe.query.classic import Summary

Json = dict[str, Any]


def error(status: int, message: str) -> Json:
    """What cannot be answered."""
    return {"error": {"httpCode": status, "message": message}}


def operations(found: Iterable[tuple[str, int]]) -> Json:
    return {"operations": [operation(name, kind) for name, kind in found]}


def summaries(found: Iterable[Summary]) -> Json:
    return {"summaries": [_summary(one) for one in found]}


def _summary(one: Summary) -> Json:
    return {
        "traceId": one.trace_id,
        "traceID": one.trace_id,  # as Jaeger has spelt it before
        "rootServiceName": one.service,
        "rootOperationName": one.name,
        "minStartTimeUnixNano": str(one.first_ns),
        "maxEndTimeUnixNano": str(one.last_ns),
        "spanCount": one.spans,
        "errorSpanCount": one.errors,
        "orphanSpanCount": one.orphans,
        "services": [
            {"name": name, "spanCount": spans, "errorSpanCount": failed} for name, (spans, failed) in sorted(one.services.items())
        ],
    }


def traces(requests: Iterable[Json]) -> Json:
    """Whole traces, of OTLP/JSON requests. A field that holds nothing is left out."""
    resources = [resource for request in requests for resource in request["resourceSpans"]]
    for resource in resources:
        for scope in resource["scopeSpans"]:
            scope["spans"] = [{key: value for key, value in span.items() if value not in ("", [])} for span in scope["spans"]]
    return {"result": {"resourceSpans": resources}}
