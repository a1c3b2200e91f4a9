"""Metrics: every kind of point is kept with its figures, the same from protobuf and JSON, over HTTP and gRPC and from files, each once."""

from __future__ import annotations

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "uvicorn", "opentelemetry.proto")

TIME = 1_760_000_000_000_000_000


@pytest.fixture
def request_of_all_kinds() -> Any:
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    request = ExportMetricsServiceRequest()
    resource = request.resource_metrics.add()
    resource.resource.attributes.add(key="service.name").value.string_value = "program"
    scope = resource.scope_metrics.add()
    scope.scope.name, scope.scope.version = "instrumentation", "1.2"
    scope.scope.attributes.add(key="sharded").value.bool_value = True
    gauge = scope.metrics.add(name="a gauge", unit="By", description="how much")
    point = gauge.gauge.data_points.add(time_unix_nano=TIME, as_int=-(2**62), flags=1)
    point.attributes.add(key="list").value.array_value.values.add().int_value = 3
    point.attributes.add(key="map").value.kvlist_value.values.add(key="deep").value.bool_value = True
    gauge.gauge.data_points.add(time_unix_nano=TIME, as_double=0.0)
    total = scope.metrics.add(name="b sum")
    total.sum.aggregation_temporality, total.sum.is_monotonic = 2, True
    point = total.sum.data_points.add(time_unix_nano=TIME, start_time_unix_nano=TIME - 5, as_double=2.5)
    exemplar = point.exemplars.add(
        as_double=1.5, time_unix_nano=TIME - 1, trace_id=b"\xab" + b"bcdefghijklmnop", span_id=b"\xff" + b"bcdefg\x01"
    )
    exemplar.filtered_attributes.add(key="user").value.string_value = "u1"
    exemplar.filtered_attributes.add(key="try").value.int_value = 2
    point.exemplars.add(as_int=-3)
    histogram = scope.metrics.add(name="c histogram")
    histogram.histogram.aggregation_temporality = 1
    histogram.histogram.data_points.add(
        time_unix_nano=TIME, count=3, sum=4.5, bucket_counts=[1, 2, 0], explicit_bounds=[0.5, 1.0], min=0.1, max=3
    )
    histogram.histogram.data_points.add(time_unix_nano=TIME + 1, count=2, bucket_counts=[2], explicit_bounds=[])
    exponential = scope.metrics.add(name="d exponential")
    exponential.exponential_histogram.aggregation_temporality = 2
    point = exponential.exponential_histogram.data_points.add(time_unix_nano=TIME, count=13, scale=-2, zero_count=1, zero_threshold=0.01)
    point.positive.offset, point.negative.offset = -3, 4
    point.positive.bucket_counts.extend([1, 2])
    point.negative.bucket_counts.append(9)
    summary = scope.metrics.add(name="e summary")
    point = summary.summary.data_points.add(time_unix_nano=TIME, count=3, sum=4.5)
    point.quantile_values.add(quantile=0.5, value=7)
    scope.metrics.add(name="f empty")
    return request


COMMON = {
    "service": "program",
    "scope_name": "instrumentation",
    "scope_version": "1.2",
    "scope_attributes": {"sharded": "true"},
    "scope_types": ["bool"],
    "resource": {"service.name": "program"},
    "resource_types": ["string"],
    "time_ns": TIME,
}
EXPECTED: list[dict[str, Any]] = [
    {
        **COMMON,
        "name": "a gauge",
        "kind": "gauge",
        "unit": "By",
        "description": "how much",
        "temporality": "unspecified",
        "flags": 1,
        "value": float(-(2**62)),
        "int_value": -(2**62),
        "attributes": {"list": "[3]", "map": '{"deep":true}'},
        "attribute_types": ["json", "json"],
    },
    {**COMMON, "name": "a gauge", "kind": "gauge", "unit": "By", "description": "how much", "temporality": "unspecified", "value": 0.0},
    {
        **COMMON,
        "name": "b sum",
        "kind": "sum",
        "temporality": "cumulative",
        "is_monotonic": True,
        "value": 2.5,
        "start_ns": TIME - 5,
        "exemplar_times": [TIME - 1, 0],
        "exemplar_values": [1.5, -3.0],
        "exemplar_trace_ids": ["ab" + b"bcdefghijklmnop".hex(), ""],
        "exemplar_span_ids": ["ff62636465666701", ""],
        "exemplar_attributes": [{"user": "u1", "try": "2"}, {}],
    },
    {
        **COMMON,
        "name": "c histogram",
        "kind": "histogram",
        "temporality": "delta",
        "count": 3,
        "sum": 4.5,
        "min": 0.1,
        "max": 3.0,
        "bounds": [0.5, 1.0],
        "counts": [1, 2, 0],
    },
    {**COMMON, "name": "c histogram", "kind": "histogram", "temporality": "delta", "count": 2, "counts": [2], "time_ns": TIME + 1},
    {
        **COMMON,
        "name": "d exponential",
        "kind": "exponential_histogram",
        "temporality": "cumulative",
        "count": 13,
        "scale": -2,
        "zero_count": 1,
        "zero_threshold": 0.01,
        "positive_offset": -3,
        "positive_counts": [1, 2],
        "negative_offset": 4,
        "negative_counts": [9],
    },
    {
        **COMMON,
        "name": "e summary",
        "kind": "summary",
        "temporality": "unspecified",
        "count": 3,
        "sum": 4.5,
        "quantiles": [0.5],
        "quantile_values": [7.0],
    },
]


def rows(store: Any) -> list[dict[str, Any]]:
    """What differs from nothing in each point."""
    found = store.rows("SELECT * EXCEPT (time, sender) FROM points ORDER BY name, mapKeys(attributes) DESC, time_ns")
    nothing: tuple[Any, ...] = (None, "", False, [], {})
    always = {"value"}
    return [{name: value for name, value in row.items() if value not in nothing or (name in always and value is not None)} for row in found]


def as_json(request: Any) -> bytes:
    """OTLP/JSON, whose ids are hex and not, as protobuf's own JSON has it, base64."""
    from google.protobuf.json_format import MessageToDict

    def turn(value: Any) -> Any:
        if isinstance(value, list):
            return [turn(item) for item in value]
        if isinstance(value, dict):
            return {key: base64.b64decode(inner).hex() if key in ("traceId", "spanId") else turn(inner) for key, inner in value.items()}
        return value

    return json.dumps(turn(MessageToDict(request))).encode()


def send(running: Any, request: Any, way: str) -> None:
    if way == "grpc":
        import grpc

        with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
            export = channel.unary_unary("/opentelemetry.proto.collector.metrics.v1.MetricsService/Export")
            assert export(request.SerializeToString(), timeout=30) == b""
    elif way == "json":
        body = as_json(request)
        assert running.post(body, signal="metrics", kind="application/json").status_code == 200
    else:
        assert running.post(request.SerializeToString(), signal="metrics").status_code == 200


@pytest.mark.parametrize("way", ["protobuf", "json", "grpc"])
def test_every_kind_of_point_is_kept_once_with_its_figures(start: Any, request_of_all_kinds: Any, way: str) -> None:
    running = start()
    for _ in range(2):
        send(running, request_of_all_kinds, way)
    stats = running.settled()
    assert rows(running.store) == EXPECTED
    [line] = stats.lines
    assert (line.signal, line.received, line.stored, stats.gap) == ("metrics", 14, 14, 0)
    assert stats.rejected == {}


FILES: dict[str, Any] = {
    "metrics.jsonl": lambda request: as_json(request) + b"\n",
    "metrics.binpb": lambda request: request.SerializeToString(),
    "metrics.binpb.gz": lambda request: gzip.compress(len(data := request.SerializeToString()).to_bytes(4, "big") + data),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_metrics_is_imported_once(store: Any, request_of_all_kinds: Any, tmp_path: Path, name: str) -> None:
    from clew.observe.ingest.files import import_file

    data = FILES[name](request_of_all_kinds)
    for _ in range(2):
        taken = import_file(store, io.BytesIO(data), name=name)
        assert (taken.spans, taken.logs, taken.points, taken.faults) == (0, 0, 7, [])
    assert rows(store) == EXPECTED


def test_a_point_that_comes_again_with_another_value_is_corrected(start: Any, request_of_all_kinds: Any) -> None:
    running = start()
    send(running, request_of_all_kinds, "protobuf")
    running.settled()
    request_of_all_kinds.resource_metrics[0].scope_metrics[0].metrics[1].sum.data_points[0].as_double = 3.5
    send(running, request_of_all_kinds, "json")
    running.settled()
    assert running.store.query("SELECT value FROM points WHERE name = 'b sum'").result_rows == [(3.5,)]


def test_malformed_metrics_are_refused(start: Any) -> None:
    running = start()
    assert running.post(b"\xff", signal="metrics").status_code == 400
    assert running.post(b'{"resourceMetrics": [{"scopeMetrics": 3}]}', signal="metrics", kind="application/json").status_code == 400
    assert running.post(b'{"resourceMetrics": []}', signal="metrics", kind="application/json").status_code == 200
