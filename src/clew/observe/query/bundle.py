"""Export of a run as one portable file (wire/bundle.py): its spans, content and log records, and the prices of its models."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import chain, groupby, islice, repeat, zip_longest
from typing import Any, BinaryIO

import msgspec

from clew.errors import MissingExtra
from clew.observe.query.runs import runs_of
from clew.observe.query.traces import resolve
from clew.observe.store.store import Store
from clew.wire.bundle import FORMAT, Manifest, Price, any_value

CHUNK = 200
"""Spans or log records that are read and written at once; each brings its content."""
LEVEL = 6
"""Of zstd."""


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written."""

    run_id: str
    spans: int
    logs: int
    bytes: int


def export(store: Store, run_id: str, out: BinaryIO) -> Exported:
    """Writes the run with that (possibly shortened) id.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    :raises OSError: ``out`` cannot be written
    """
    try:
        import zstandard
    except ImportError:
        raise MissingExtra("An export", "zstandard", "server") from None
    trace_id = resolve(store, run_id)
    [run] = runs_of(store, [trace_id])
    given = {"trace": trace_id}
    logs = store.value(f"SELECT count() FROM ({_LOGS})", given)
    manifest = Manifest(FORMAT, trace_id, run.name, version("clew"), time.time_ns(), run.spans, logs, _prices(store, trace_id))
    packer, written = zstandard.ZstdCompressor(level=LEVEL).compressobj(), 0
    requests = chain(span_requests(store, trace_id), _log_requests(store, trace_id))
    for line in chain([manifest.line()], (msgspec.json.encode(request) + b"\n" for request in requests)):
        written += out.write(packer.compress(line))
    written += out.write(packer.flush())
    return Exported(trace_id, run.spans, logs, written)


_PRICES = """SELECT provider, request_model, response_model, matched, source, flat, rules FROM prices FINAL
WHERE (notEmpty(flat) OR notEmpty(rules)) AND (provider, request_model, response_model) IN (
    SELECT toString(provider), toString(request_model), toString(response_model) FROM span_records FINAL WHERE trace_id = {trace:String}
)"""
_SPANS = """SELECT span_id, parent_span_id, trace_state, name, otel_kind, start_ns, end_ns, CAST(status, 'Int8') AS code, status_message,
    scope_name, scope_version, scope_attributes, scope_types, resource, resource_types, attributes, attribute_types, contents, content_types,
    event_times, event_names, event_attributes, event_types, link_trace_ids, link_span_ids, link_attributes, link_types
FROM span_records FINAL WHERE trace_id = {trace:String} ORDER BY start_ns, span_id"""
_VALUES = "SELECT hash, any(value) FROM payloads WHERE trace_id = {trace:String} AND hash IN {hashes:Array(UInt64)} GROUP BY hash"
_LOGS = """SELECT span_id, time_ns, severity_number, severity_text, event_name, scope_name, scope_version, scope_attributes, scope_types, body,
    toString(body_type) AS body_type, resource, resource_types, attributes, attribute_types FROM log_records FINAL WHERE trace_id = {trace:String} ORDER BY time_ns, content_hash, ordinal"""


def _prices(store: Store, trace_id: str) -> list[Price]:
    return [Price(**row) for row in store.rows(_PRICES, {"trace": trace_id})]


def span_requests(store: Store, trace_id: str) -> Iterator[dict[str, Any]]:
    """The spans of a trace as OTLP/JSON requests, some hundred spans in each, in the order of their starts."""
    for rows in _chunks(store.rows(_SPANS, {"trace": trace_id})):
        hashes = {hash_ for row in rows for hash_ in row["contents"].values()}
        values = store.pairs(_VALUES, {"trace": trace_id, "hashes": sorted(hashes)}) if hashes else {}
        for (resource, scope), group in groupby(rows, _origin):
            spans = [_span(row, trace_id, values) for row in group]
            yield {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": scope, "spans": spans}]}]}


def _log_requests(store: Store, trace_id: str) -> Iterator[dict[str, Any]]:
    for rows in _chunks(store.rows(_LOGS, {"trace": trace_id})):
        for (resource, scope), group in groupby(rows, _origin):
            records = [_log(row, trace_id) for row in group]
            yield {"resourceLogs": [{"resource": resource, "scopeLogs": [{"scope": scope, "logRecords": records}]}]}


def _origin(row: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Resource and scope of a record."""
    attributes = _typed(row["scope_attributes"], row["scope_types"])
    scope = {"name": row["scope_name"], "version": row["scope_version"], **({"attributes": attributes} if attributes else {})}
    return {"attributes": _typed(row["resource"], row["resource_types"])}, scope


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    left = iter(rows)
    while chunk := list(islice(left, CHUNK)):
        yield chunk


def _span(row: dict[str, Any], trace_id: str, values: dict[int, str]) -> dict[str, Any]:
    events = zip_longest(row["event_times"], row["event_names"], row["event_attributes"], row["event_types"])
    links = zip_longest(row["link_trace_ids"], row["link_span_ids"], row["link_attributes"], row["link_types"])
    contents = {key: values.get(hash_, "") for key, hash_ in row["contents"].items()}
    return {
        "traceId": trace_id,
        "spanId": row["span_id"],
        "parentSpanId": row["parent_span_id"],
        "traceState": row["trace_state"],
        "name": row["name"],
        "kind": row["otel_kind"],
        "startTimeUnixNano": str(row["start_ns"]),
        "endTimeUnixNano": str(row["end_ns"]),
        "attributes": [*_typed(row["attributes"], row["attribute_types"]), *_typed(contents, row["content_types"])],
        "events": [{"timeUnixNano": str(at), "name": name, "attributes": _typed(values, types)} for at, name, values, types in events],
        "links": [{"traceId": trace, "spanId": span, "attributes": _typed(values, types)} for trace, span, values, types in links],
        "status": {"code": row["code"], "message": row["status_message"]},
    }


def _log(row: dict[str, Any], trace_id: str) -> dict[str, Any]:
    return {
        "timeUnixNano": str(row["time_ns"]),
        "severityNumber": row["severity_number"],
        "severityText": row["severity_text"],
        "eventName": row["event_name"],
        "body": any_value(row["body"], row["body_type"]),
        "attributes": _typed(row["attributes"], row["attribute_types"]),
        "traceId": trace_id,
        "spanId": row["span_id"],
    }


def _typed(values: dict[str, str], types: Sequence[str] | None) -> list[dict[str, Any]]:
    """Attributes with their types; what was stored before types were kept is text."""
    return [
        {"key": key, "value": any_value(text, kind)} for (key, text), kind in zip(values.items(), types or repeat("string"), strict=False)
    ]
