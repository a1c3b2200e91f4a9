"""What one record holds has limits: beyond them things are left out, counted, and named on the record; nothing else changes."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from clew.wire.check import Checked, check_json, check_protobuf
from clew.wire.limits import Limits, sentence
from clew.wire.otlp import LOGS, METRICS, TRACES, Signal

pytestmark = pytest.mark.needs("msgspec", "google.protobuf", "opentelemetry.proto")

LIMITS = Limits(attributes=3, events=2, links=1, value_bytes=10_000)


def pairs(count: int) -> list[dict[str, Any]]:
    return [{"key": f"k{number}", "value": {"intValue": str(number)}} for number in range(count)]


def span(**more: Any) -> dict[str, Any]:
    return {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "x", "startTimeUnixNano": "1", "endTimeUnixNano": "2"} | more


def traces(*spans: dict[str, Any], **resource: Any) -> dict[str, Any]:
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}]}


def both(signal: Signal, document: dict[str, Any], limits: Limits = LIMITS) -> list[tuple[Checked, dict[str, Any]]]:
    """The document checked as JSON and as protobuf, each with what is stored of it as a document."""
    from google.protobuf import json_format
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    kinds: dict[Signal, Any] = {TRACES: ExportTraceServiceRequest, LOGS: ExportLogsServiceRequest, METRICS: ExportMetricsServiceRequest}
    kind = kinds[signal]
    as_json = check_json(json.dumps(document).encode(), signal, limits)
    message = json_format.ParseDict(_ids_as_base64(document), kind())
    as_protobuf = check_protobuf(signal, message.SerializeToString(), limits)
    return [
        (as_json, json.loads(as_json.body)),
        (as_protobuf, json_format.MessageToDict(kind.FromString(as_protobuf.body))),
    ]


def _ids_as_base64(document: Any) -> Any:
    """OTLP/JSON has ids in hex, protobuf's own JSON in base64."""
    import base64

    if isinstance(document, list):
        return [_ids_as_base64(item) for item in document]
    if not isinstance(document, dict):
        return document
    ids = ("traceId", "spanId")
    return {k: base64.b64encode(bytes.fromhex(v)).decode() if k in ids else _ids_as_base64(v) for k, v in document.items()}


def keys(held: dict[str, Any]) -> dict[str, int]:
    return {pair["key"]: int(pair["value"]["intValue"]) for pair in held["attributes"]}


def test_what_a_span_has_beyond_its_limits_is_left_out_and_named_on_it() -> None:
    event, link = {"timeUnixNano": "1", "name": "e"}, {"traceId": "ab" * 16, "spanId": "cd" * 8}
    full = span(
        attributes=pairs(5),
        droppedAttributesCount=4,
        events=[event | {"attributes": pairs(4)}, event, event, event],
        links=[link | {"attributes": pairs(3)}, link],
    )
    for checked, stored in both(TRACES, traces(span(name="small", attributes=pairs(3)), full, attributes=pairs(9))):
        assert checked.records == 2
        assert checked.cut == {"attributes": 2 + 1 + 6, "events": 2, "links": 1}
        [group] = stored["resourceSpans"]
        assert keys(group["resource"]) == {"k0": 0, "k1": 1, "k2": 2, "clew.cut.attributes": 6}
        small, cut = group["scopeSpans"][0]["spans"]
        assert keys(small) == {"k0": 0, "k1": 1, "k2": 2}
        assert keys(cut) == {"k0": 0, "k1": 1, "k2": 2, "clew.cut.attributes": 2, "clew.cut.events": 2, "clew.cut.links": 1}
        assert (cut["droppedAttributesCount"], cut["droppedEventsCount"], cut["droppedLinksCount"]) == (6, 2, 1)
        assert len(cut["events"]) == 2
        assert keys(cut["events"][0]) == {"k0": 0, "k1": 1, "k2": 2, "clew.cut.attributes": 1}
        assert keys(cut["links"][0]) == {"k0": 0, "k1": 1, "k2": 2}


def test_attributes_of_log_records_and_points_have_the_same_limit() -> None:
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1", "attributes": pairs(4)}]}]}]}
    point = {"timeUnixNano": "1", "asDouble": 1.5, "attributes": pairs(4), "exemplars": [{"asDouble": 1.0, "filteredAttributes": pairs(5)}]}
    metrics = {"resourceMetrics": [{"scopeMetrics": [{"metrics": [{"name": "m", "gauge": {"dataPoints": [point]}}]}]}]}
    for checked, stored in both(LOGS, logs):
        assert (checked.records, checked.cut) == (1, {"attributes": 1})
        assert keys(stored["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]) == {"k0": 0, "k1": 1, "k2": 2, "clew.cut.attributes": 1}
    for checked, stored in both(METRICS, metrics):
        assert (checked.records, checked.cut) == (1, {"attributes": 3})
        [found] = stored["resourceMetrics"][0]["scopeMetrics"][0]["metrics"][0]["gauge"]["dataPoints"]
        assert keys(found) == {"k0": 0, "k1": 1, "k2": 2, "clew.cut.attributes": 1}
        assert found["asDouble"] == 1.5


def test_a_long_text_is_cut_and_says_so_wherever_it_stands() -> None:
    long = "é" * 6_000
    values = [
        {"key": "text", "value": {"stringValue": long}},
        {"key": "list", "value": {"arrayValue": {"values": [{"stringValue": "short"}, {"stringValue": long}]}}},
        {"key": "deep", "value": {"kvlistValue": {"values": [{"key": "a", "value": {"stringValue": long}}]}}},
    ]
    checked = check_json(json.dumps(traces(span(name=long, attributes=values))).encode(), TRACES, LIMITS)
    assert checked.cut == {"values": 4}
    [found] = json.loads(checked.body)["resourceSpans"][0]["scopeSpans"][0]["spans"]
    cut = "é" * 5_000 + "… [cut: 6000 characters]"
    text, listed, deep = (pair["value"] for pair in found["attributes"])
    assert (found["name"], text["stringValue"]) == (cut, cut)
    assert [item["stringValue"] for item in listed["arrayValue"]["values"]] == ["short", cut]
    assert deep["jsonValue"] == '{"a":"' + "é" * 4_997 + "… [cut: 6008 characters]"


def test_bytes_are_cut_to_what_fits() -> None:
    import base64

    value = [{"key": "b", "value": {"bytesValue": base64.b64encode(bytes(20_001)).decode()}}]
    for checked, stored in both(TRACES, traces(span(attributes=value))):
        assert checked.cut == {"values": 1}
        [pair] = stored["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"]
        assert len(base64.b64decode(pair["value"]["bytesValue"])) in (9_999, 10_000)


def test_what_is_within_the_limits_stays_byte_for_byte() -> None:
    document = traces(*(span(attributes=pairs(3), events=[{"timeUnixNano": "1", "name": "e"}] * 2) for _ in range(50)))
    line = json.dumps(document).encode()
    checked = check_json(line, TRACES, LIMITS)
    assert (checked.body, checked.cut, checked.records) == (line, {}, 50)
    (_, _), (as_protobuf, _) = both(TRACES, document)
    assert (as_protobuf.cut, as_protobuf.records) == ({}, 50)


def test_no_long_list_escapes_the_first_look() -> None:
    """The first look counts bytes; whatever the keys and values, it never misses what the second would find."""
    rnd = random.Random(7)
    for _ in range(300):
        spans = [
            span(
                attributes=[{"key": rnd.choice(["", "J", "k" * 200]), "value": {}} for _ in range(rnd.randrange(6))],
                events=[{"attributes": [{}] * rnd.randrange(6)} for _ in range(rnd.randrange(4))],
                links=[{"attributes": [{}] * rnd.randrange(6)} for _ in range(rnd.randrange(3))],
            )
            for _ in range(rnd.randrange(1, 4))
        ]
        document = traces(*spans)
        holders = [*spans, *(inner for one in spans for inner in (*one["events"], *one["links"]))]
        too_long = any(len(held["attributes"]) > 3 for held in holders) or any(len(s["events"]) > 2 or len(s["links"]) > 1 for s in spans)
        for checked, _ in both(TRACES, document):
            assert bool(checked.cut) == too_long


def test_the_sender_is_told_in_one_sentence() -> None:
    assert sentence({}) == ""
    assert sentence({"values": 1, "attributes": 12}) == (
        "beyond the limits of this collector and cut: 12 attributes, 1 values; the records say so in attributes named clew.cut"
    )
