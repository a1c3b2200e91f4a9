"""The OTLP messages that Clew reads, declared once.

From this one table come: the protobuf schema that the engine reads requests with, the message classes that check a body in Python,
and the columns of both landing tables (protobuf and JSON). Field numbers are those of opentelemetry-proto 1.x.

Two things differ from the published schema, both for the engine's sake, which knows no recursive types:

- ``AnyValue`` has no ``kvlist_value`` and its arrays hold scalars only. A deeper value arrives as ``json_value`` (ours): one JSON text
  (values.py makes it from the sender's).
- A request carries ``arrival_time_unix_nano`` and ``sender`` (ours), appended when it is accepted, so that they travel with it.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Type = Literal["string", "bytes", "bool", "int64", "int32", "uint32", "uint64", "sint32", "fixed64", "sfixed64", "fixed32", "double"]
Label = Literal["one", "optional", "repeated"]


class Field(NamedTuple):
    name: str
    number: int
    type: str
    label: Label = "one"


_SCALARS = (
    Field("string_value", 1, "string", "optional"),
    Field("bool_value", 2, "bool", "optional"),
    Field("int_value", 3, "int64", "optional"),
    Field("double_value", 4, "double", "optional"),
    Field("bytes_value", 7, "bytes", "optional"),
)
JSON_VALUE = Field("json_value", 1001, "string", "optional")

MESSAGES: dict[str, tuple[Field, ...]] = {
    "Scalar": _SCALARS,
    "ArrayValue": (Field("values", 1, "Scalar", "repeated"),),
    "AnyValue": (*_SCALARS, Field("array_value", 5, "ArrayValue"), JSON_VALUE),
    "KeyValue": (Field("key", 1, "string"), Field("value", 2, "AnyValue")),
    "Resource": (Field("attributes", 1, "KeyValue", "repeated"), Field("dropped_attributes_count", 2, "uint32")),
    "InstrumentationScope": (
        Field("name", 1, "string"),
        Field("version", 2, "string"),
        Field("attributes", 3, "KeyValue", "repeated"),
        Field("dropped_attributes_count", 4, "uint32"),
    ),
    "Event": (
        Field("time_unix_nano", 1, "fixed64"),
        Field("name", 2, "string"),
        Field("attributes", 3, "KeyValue", "repeated"),
        Field("dropped_attributes_count", 4, "uint32"),
    ),
    "Link": (
        Field("trace_id", 1, "bytes"),
        Field("span_id", 2, "bytes"),
        Field("trace_state", 3, "string"),
        Field("attributes", 4, "KeyValue", "repeated"),
        Field("dropped_attributes_count", 5, "uint32"),
        Field("flags", 6, "fixed32"),
    ),
    "Status": (Field("message", 2, "string"), Field("code", 3, "int32")),
    "Span": (
        Field("trace_id", 1, "bytes"),
        Field("span_id", 2, "bytes"),
        Field("trace_state", 3, "string"),
        Field("parent_span_id", 4, "bytes"),
        Field("name", 5, "string"),
        Field("kind", 6, "int32"),
        Field("start_time_unix_nano", 7, "fixed64"),
        Field("end_time_unix_nano", 8, "fixed64"),
        Field("attributes", 9, "KeyValue", "repeated"),
        Field("dropped_attributes_count", 10, "uint32"),
        Field("events", 11, "Event", "repeated"),
        Field("dropped_events_count", 12, "uint32"),
        Field("links", 13, "Link", "repeated"),
        Field("dropped_links_count", 14, "uint32"),
        Field("status", 15, "Status"),
        Field("flags", 16, "fixed32"),
    ),
    "ScopeSpans": (
        Field("scope", 1, "InstrumentationScope"),
        Field("spans", 2, "Span", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ResourceSpans": (
        Field("resource", 1, "Resource"),
        Field("scope_spans", 2, "ScopeSpans", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ExportTraceServiceRequest": (
        Field("resource_spans", 1, "ResourceSpans", "repeated"),
        Field("arrival_time_unix_nano", 1001, "fixed64"),
        Field("sender", 1002, "string"),
    ),
    "LogRecord": (
        Field("time_unix_nano", 1, "fixed64"),
        Field("severity_number", 2, "int32"),
        Field("severity_text", 3, "string"),
        Field("body", 5, "AnyValue"),
        Field("attributes", 6, "KeyValue", "repeated"),
        Field("dropped_attributes_count", 7, "uint32"),
        Field("flags", 8, "fixed32"),
        Field("trace_id", 9, "bytes"),
        Field("span_id", 10, "bytes"),
        Field("observed_time_unix_nano", 11, "fixed64"),
        Field("event_name", 12, "string"),
    ),
    "ScopeLogs": (
        Field("scope", 1, "InstrumentationScope"),
        Field("log_records", 2, "LogRecord", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ResourceLogs": (
        Field("resource", 1, "Resource"),
        Field("scope_logs", 2, "ScopeLogs", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ExportLogsServiceRequest": (
        Field("resource_logs", 1, "ResourceLogs", "repeated"),
        Field("arrival_time_unix_nano", 1001, "fixed64"),
        Field("sender", 1002, "string"),
    ),
    "Exemplar": (
        Field("time_unix_nano", 2, "fixed64"),
        Field("as_double", 3, "double", "optional"),
        Field("span_id", 4, "bytes"),
        Field("trace_id", 5, "bytes"),
        Field("as_int", 6, "sfixed64", "optional"),
        Field("filtered_attributes", 7, "KeyValue", "repeated"),
    ),
    "NumberDataPoint": (
        Field("start_time_unix_nano", 2, "fixed64"),
        Field("time_unix_nano", 3, "fixed64"),
        Field("as_double", 4, "double", "optional"),
        Field("exemplars", 5, "Exemplar", "repeated"),
        Field("as_int", 6, "sfixed64", "optional"),
        Field("attributes", 7, "KeyValue", "repeated"),
        Field("flags", 8, "uint32"),
    ),
    "Gauge": (Field("data_points", 1, "NumberDataPoint", "repeated"),),
    "Sum": (
        Field("data_points", 1, "NumberDataPoint", "repeated"),
        Field("aggregation_temporality", 2, "int32"),
        Field("is_monotonic", 3, "bool"),
    ),
    "HistogramDataPoint": (
        Field("start_time_unix_nano", 2, "fixed64"),
        Field("time_unix_nano", 3, "fixed64"),
        Field("count", 4, "fixed64"),
        Field("sum", 5, "double", "optional"),
        Field("bucket_counts", 6, "fixed64", "repeated"),
        Field("explicit_bounds", 7, "double", "repeated"),
        Field("exemplars", 8, "Exemplar", "repeated"),
        Field("attributes", 9, "KeyValue", "repeated"),
        Field("flags", 10, "uint32"),
        Field("min", 11, "double", "optional"),
        Field("max", 12, "double", "optional"),
    ),
    "Histogram": (Field("data_points", 1, "HistogramDataPoint", "repeated"), Field("aggregation_temporality", 2, "int32")),
    "Buckets": (Field("offset", 1, "sint32"), Field("bucket_counts", 2, "uint64", "repeated")),
    "ExponentialHistogramDataPoint": (
        Field("attributes", 1, "KeyValue", "repeated"),
        Field("start_time_unix_nano", 2, "fixed64"),
        Field("time_unix_nano", 3, "fixed64"),
        Field("count", 4, "fixed64"),
        Field("sum", 5, "double", "optional"),
        Field("scale", 6, "sint32"),
        Field("zero_count", 7, "fixed64"),
        Field("positive", 8, "Buckets"),
        Field("negative", 9, "Buckets"),
        Field("flags", 10, "uint32"),
        Field("exemplars", 11, "Exemplar", "repeated"),
        Field("min", 12, "double", "optional"),
        Field("max", 13, "double", "optional"),
        Field("zero_threshold", 14, "double"),
    ),
    "ExponentialHistogram": (
        Field("data_points", 1, "ExponentialHistogramDataPoint", "repeated"),
        Field("aggregation_temporality", 2, "int32"),
    ),
    "ValueAtQuantile": (Field("quantile", 1, "double"), Field("value", 2, "double")),
    "SummaryDataPoint": (
        Field("start_time_unix_nano", 2, "fixed64"),
        Field("time_unix_nano", 3, "fixed64"),
        Field("count", 4, "fixed64"),
        Field("sum", 5, "double"),
        Field("quantile_values", 6, "ValueAtQuantile", "repeated"),
        Field("attributes", 7, "KeyValue", "repeated"),
        Field("flags", 8, "uint32"),
    ),
    "Summary": (Field("data_points", 1, "SummaryDataPoint", "repeated"),),
    "Metric": (
        Field("name", 1, "string"),
        Field("description", 2, "string"),
        Field("unit", 3, "string"),
        Field("gauge", 5, "Gauge"),
        Field("sum", 7, "Sum"),
        Field("histogram", 9, "Histogram"),
        Field("exponential_histogram", 10, "ExponentialHistogram"),
        Field("summary", 11, "Summary"),
    ),
    "ScopeMetrics": (
        Field("scope", 1, "InstrumentationScope"),
        Field("metrics", 2, "Metric", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ResourceMetrics": (
        Field("resource", 1, "Resource"),
        Field("scope_metrics", 2, "ScopeMetrics", "repeated"),
        Field("schema_url", 3, "string"),
    ),
    "ExportMetricsServiceRequest": (
        Field("resource_metrics", 1, "ResourceMetrics", "repeated"),
        Field("arrival_time_unix_nano", 1001, "fixed64"),
        Field("sender", 1002, "string"),
    ),
}

METRIC_KINDS = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
"""What a metric can be; its points are in the field of that name."""


class Signal(NamedTuple):
    """One kind of telemetry: its request message and where its records sit in it."""

    name: Literal["traces", "logs", "metrics"]
    request: str
    resources: str
    scopes: str
    records: str
    service: str
    """Of gRPC; its one method is Export."""


TRACES = Signal(
    "traces", "ExportTraceServiceRequest", "resource_spans", "scope_spans", "spans", "opentelemetry.proto.collector.trace.v1.TraceService"
)
LOGS = Signal(
    "logs", "ExportLogsServiceRequest", "resource_logs", "scope_logs", "log_records", "opentelemetry.proto.collector.logs.v1.LogsService"
)
METRICS = Signal(
    "metrics",
    "ExportMetricsServiceRequest",
    "resource_metrics",
    "scope_metrics",
    "metrics",
    "opentelemetry.proto.collector.metrics.v1.MetricsService",
)
"""Its records are points: each metric holds some."""
SIGNALS = (TRACES, LOGS, METRICS)


def camel(name: str) -> str:
    """The field's name in OTLP/JSON."""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def proto_schema() -> str:
    """The table as the text of a ``.proto`` file."""
    lines = ['syntax = "proto3";']
    for message, fields in MESSAGES.items():
        lines.append(f"message {message} {{")
        lines += [f"  {'' if f.label == 'one' else f.label + ' '}{f.type} {f.name} = {f.number};" for f in fields]
        lines.append("}")
    return "\n".join(lines) + "\n"


_COLUMN_TYPES = {
    "string": "String",
    "bytes": "String",
    "bool": "Bool",
    "int64": "Int64",
    "int32": "Int32",
    "uint32": "UInt32",
    "uint64": "UInt64",
    "sint32": "Int32",
    "fixed64": "UInt64",
    "sfixed64": "Int64",
    "fixed32": "UInt32",
    "double": "Float64",
}
_JSON_ENUMS = {
    ("Span", "kind"),
    ("Status", "code"),
    ("LogRecord", "severity_number"),
    *((kind, "aggregation_temporality") for kind in ("Sum", "Histogram", "ExponentialHistogram")),
}
"""Enums may come as number or name in JSON; the engine reads either as text."""


def column_type(message: str, field: Field, *, json: bool) -> str:
    """The engine's type for ``field`` of ``message`` in the landing table for protobuf, or for JSON."""
    if field.type in MESSAGES:
        members = ", ".join(
            f"{camel(member.name) if json else member.name} {column_type(field.type, member, json=json)}" for member in MESSAGES[field.type]
        )
        return f"Array(Tuple({members}))" if field.label == "repeated" else f"Tuple({members})"
    if json and (message, field.name) in _JSON_ENUMS:
        return "String"
    plain = _COLUMN_TYPES[field.type]
    return {"optional": f"Nullable({plain})", "repeated": f"Array({plain})", "one": plain}[field.label]


def landing_columns(signal: Signal, *, json: bool) -> str:
    """Column definitions of a landing table."""
    return ",\n    ".join(
        f"{camel(field.name) if json else field.name} {column_type(signal.request, field, json=json)}" for field in MESSAGES[signal.request]
    )
