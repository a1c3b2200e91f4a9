"""A request that passes the check can be stored as it is; one that does not is refused with the place."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clew.errors import MalformedRecord
from clew.wire.check import canonical_json, check_json, check_protobuf, json_signal, protobuf_signal, stamp_json, stamp_protobuf
from clew.wire.otlp import LOGS, MESSAGES, METRICS, TRACES, landing_columns, proto_schema

pytestmark = pytest.mark.needs("msgspec", "google.protobuf", "opentelemetry.proto")


def span(**more: Any) -> dict[str, Any]:
    return {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "x", "startTimeUnixNano": "1", "endTimeUnixNano": 2} | more


def request(*spans: dict[str, Any]) -> dict[str, Any]:
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def line(*spans: dict[str, Any]) -> bytes:
    return json.dumps(request(*spans)).encode()


def attributes(**values: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": value} for key, value in values.items()]


def encoded(signal: str, **fields: Any) -> bytes:
    """A request encoded with OpenTelemetry's own classes."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    if signal == "traces":
        traces = ExportTraceServiceRequest()
        traces.resource_spans.add().scope_spans.add().spans.add(**fields)
        return bytes(traces.SerializeToString())
    if signal == "metrics":
        metrics = ExportMetricsServiceRequest()
        metrics.resource_metrics.add().scope_metrics.add().metrics.add(**fields)
        return bytes(metrics.SerializeToString())
    logs = ExportLogsServiceRequest()
    logs.resource_logs.add().scope_logs.add().log_records.add(**fields)
    return bytes(logs.SerializeToString())


def test_a_plain_request_passes_as_it_is() -> None:
    body = line(span(attributes=attributes(a={"stringValue": '"kvlistValue":'}, b={"arrayValue": {"values": [{"intValue": "1"}]}})), span())
    checked = check_json(b"  " + body + b" \r\n")
    assert (checked.signal, checked.body, checked.records, checked.rejected) == (TRACES, body, 2, [])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"kvlistValue": {"values": [{"key": "a", "value": {"intValue": "1"}}]}}, '{"a":1}'),
        ({"arrayValue": {"values": [{"arrayValue": {"values": []}}]}}, "[[]]"),
        ({"arrayValue": {"values": []}}, "[]"),
        ({"arrayValue": {}}, "[]"),
        ({"arrayValue": {"values": [{"stringValue": "x"}, {"kvlistValue": {}}]}}, '["x",{}]'),
    ],
)
def test_a_deep_value_becomes_one_text_and_its_neighbours_stay(value: dict[str, Any], text: str) -> None:
    flat = {"arrayValue": {"values": [{"intValue": "1"}]}}
    checked = check_json(line(span(attributes=attributes(deep=value, flat=flat))))
    [found] = json.loads(checked.body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert found["attributes"] == attributes(deep={"jsonValue": text}, flat=flat)


@pytest.mark.parametrize(
    ("changed", "place"),
    [
        ({"traceId": 7}, "traceId"),
        ({"parentSpanId": "xyz"}, "parentSpanId"),
        ({"name": 7}, "name"),
        ({"attributes": {"a": 1}}, "attributes"),
        ({"attributes": [{"key": "a", "value": {"intValue": "many"}}]}, "intValue"),
        ({"startTimeUnixNano": -1}, "startTimeUnixNano"),
        ({"events": [{"timeUnixNano": "soon"}]}, "timeUnixNano"),
        ({"status": {"code": []}}, "code"),
    ],
)
def test_a_wrong_type_is_refused_with_its_place(changed: dict[str, Any], place: str) -> None:
    with pytest.raises(MalformedRecord, match=rf"not OTLP/JSON: .*{place}"):
        check_json(line(span(), span(**changed)))


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({"traceId": "00" * 16}, f"traceId '{'00' * 16}' and spanId '{'cd' * 8}'"),
    ({"spanId": "00" * 8}, f"traceId '{'ab' * 16}' and spanId '{'00' * 8}'"),
    ({"traceId": "xyz"}, f"traceId 'xyz' and spanId '{'cd' * 8}'"),
    ({"spanId": None}, f"traceId '{'ab' * 16}' and spanId ''"),
    ({"spanId": "cd" * 9}, f"traceId '{'ab' * 16}' and spanId '{'cd' * 9}'"),
]


@pytest.mark.parametrize(("changed", "shown"), UNUSABLE)
def test_a_span_with_an_unusable_id_costs_that_span_alone(changed: dict[str, Any], shown: str) -> None:
    other = span(attributes=attributes(deep={"kvlistValue": {"values": [{"key": "a", "value": {"boolValue": True}}]}}))
    checked = check_json(line(span(name="bad", **changed), other, span()))
    assert checked.rejected == [f"span 'bad' has {shown}; 16 and 8 bytes are needed, not all of them zero"]
    kept = span(attributes=attributes(deep={"jsonValue": '{"a":true}'}))
    assert (checked.records, json.loads(checked.body)) == (2, request(kept, span()))


def test_a_missing_id_is_an_unusable_one() -> None:
    bare = span()
    del bare["spanId"]
    checked = check_json(line(bare))
    assert (checked.records, len(checked.rejected)) == (0, 1)


def test_another_mistake_beside_an_unusable_id_is_told_with_its_place() -> None:
    with pytest.raises(MalformedRecord, match=r"not OTLP/JSON: .*name"):
        check_json(line(span(traceId=""), span(name=7)))


def test_the_canonical_form_is_only_what_the_schema_knows() -> None:
    checked = check_json(line(span(name=None, unknown={"x": 1}, endTimeUnixNano=None, attributes=None, flags=0)))
    known = {"traceId": "ab" * 16, "spanId": "cd" * 8, "startTimeUnixNano": 1, "flags": 0}
    assert json.loads(canonical_json(checked)) == request(known)


def test_traces_logs_and_metrics_are_told_apart() -> None:
    assert json_signal(b'{"resourceLogs":[]}') is LOGS
    assert json_signal(b'{"resourceMetrics":[{"scope":{"name":"\\"resourceSpans\\""}}]}') is METRICS
    assert protobuf_signal(encoded("traces", trace_id=b"t" * 16, span_id=b"s" * 8, name="x", start_time_unix_nano=1)) is TRACES
    assert protobuf_signal(encoded("logs", time_unix_nano=1, severity_text="WARN", trace_id=b"t" * 16)) is LOGS
    assert protobuf_signal(encoded("logs", observed_time_unix_nano=1, event_name="e")) is LOGS
    point = {"time_unix_nano": 1, "as_double": 0.0}
    for kind in ("gauge", "sum", "histogram", "exponential_histogram", "summary"):
        points = {"data_points": [{"time_unix_nano": 1} if kind not in ("gauge", "sum") else point]}
        assert protobuf_signal(encoded("metrics", name="sixteen letters!", description="8 letter", **{kind: points})) is METRICS
    with pytest.raises(MalformedRecord, match="none of resourceSpans, resourceLogs, resourceMetrics"):
        check_json(b'{"resourceProfiles":[]}')


def test_protobuf_passes_as_it_is_and_a_span_without_ids_is_left_out() -> None:
    good, bad = (
        encoded("traces", trace_id=b"t" * 16, span_id=b"s" * 8, name="good"),
        encoded("traces", trace_id=b"t", span_id=b"s" * 8, name="bad"),
    )
    checked = check_protobuf(TRACES, good)
    assert (checked.body, checked.records) == (good, 1)
    both = check_protobuf(TRACES, good + bad)
    assert both.records == 1
    assert both.rejected == [
        "span 'bad' has a trace id of 1 bytes and a span id of 8 bytes; 16 and 8 bytes are needed, not all of them zero"
    ]
    assert b"bad" not in both.body


@pytest.mark.parametrize(("trace_id", "span_id"), [(bytes(16), b"s" * 8), (b"t" * 16, bytes(8)), (bytes(16), bytes(8))])
def test_ids_of_zeros_are_unusable_and_ids_that_hold_zeros_are_not(trace_id: bytes, span_id: bytes) -> None:
    good = encoded("traces", trace_id=bytes(15) + b"t", span_id=bytes(7) + b"s", name="good")
    checked = check_protobuf(TRACES, good + encoded("traces", trace_id=trace_id, span_id=span_id, name="bad"))
    assert (checked.records, len(checked.rejected)) == (1, 1)
    assert check_protobuf(TRACES, good).body == good


def test_a_stamp_says_when_and_from_whom() -> None:
    stamped = json.loads(stamp_json(b'{"resourceSpans":[]} ', 7, 'a "file"'))
    assert stamped == {"resourceSpans": [], "arrivalTimeUnixNano": 7, "sender": 'a "file"'}
    assert json.loads(stamp_json(b"{}", 7, "é")) == {"arrivalTimeUnixNano": 7, "sender": "é"}
    body = encoded("traces", trace_id=b"t" * 16, span_id=b"s" * 8, name="x")
    assert check_protobuf(TRACES, body + stamp_protobuf(TRACES, 7, "file")).records == 1


def test_the_schema_is_that_of_opentelemetry() -> None:
    """Names and numbers of every field, but for ours, which are above 1000."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    published: dict[str, dict[str, int]] = {}
    waiting = [ExportTraceServiceRequest.DESCRIPTOR, ExportLogsServiceRequest.DESCRIPTOR, ExportMetricsServiceRequest.DESCRIPTOR]
    while waiting:
        message = waiting.pop()
        if message.name not in published:
            published[message.name] = {field.name: field.number for field in message.fields}
            waiting += [field.message_type for field in message.fields if field.message_type]
    names = {"Scalar": "AnyValue"}
    wrong = [
        (message, field.name)
        for message, fields in MESSAGES.items()
        for field in fields
        if field.number < 1000 and published[names.get(message, message)].get(field.name) != field.number
    ]
    assert wrong == []
    assert all(f"message {message} {{" in proto_schema() for message in MESSAGES)
    assert "traceId String" in landing_columns(TRACES, json=True)


@given(st.data())
@settings(max_examples=200)
def test_damage_is_refused_or_harmless(data: st.DataObject) -> None:
    """Cut, flipped or inserted bytes: MalformedRecord, or a request that counts its records; nothing else."""
    whole = line(span(attributes=attributes(a={"kvlistValue": {"values": [{"key": "k", "value": {"arrayValue": {}}}]}})), span())
    proto = encoded("traces", trace_id=b"t" * 16, span_id=b"s" * 8, name="name", start_time_unix_nano=5)
    for body, check in ((whole, check_json), (proto, lambda damaged: check_protobuf(protobuf_signal(damaged), damaged))):
        at = data.draw(st.integers(0, len(body)))
        damaged = body[:at] + data.draw(st.binary(max_size=3)) + body[data.draw(st.integers(at, len(body))) :]
        with suppress(MalformedRecord):
            assert 0 <= check(damaged).records <= 4
