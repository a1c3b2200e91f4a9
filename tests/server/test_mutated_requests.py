"""Real requests, mutated: of every signal, encoding and way in. None makes the server fail, and the account of what it took adds up.

Each seed is one corpus entry and one sort of mutation; the same number always makes the same request, so that a failure names itself.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "grpc", "uvicorn", "opentelemetry.proto")

ROUNDS = 30
"""Mutations of each sort, of each entry."""
PROTOBUF, JSON = "application/x-protobuf", "application/json"
SERVICES = {"traces": "trace.v1.TraceService", "logs": "logs.v1.LogsService", "metrics": "metrics.v1.MetricsService"}


def corpus(otlp: Any) -> dict[str, dict[str, Any]]:
    """A request of each signal with everything that one may have."""
    deep: dict[str, Any] = {"stringValue": "bottom"}
    for level in range(6):
        deep = {"kvlistValue": {"values": [{"key": f"k{level}", "value": deep}]}} if level % 2 else {"arrayValue": {"values": [deep]}}
    values = {"text": "naïve \u0000 text", "count": -7, "share": 0.5, "yes": True, "list": ["a", 1], "gen_ai.usage.input_tokens": "12"}
    event = {"timeUnixNano": str(otlp.START), "name": "exception", "attributes": otlp.attributes(values)}
    link = {"traceId": otlp.trace_id(9), "spanId": otlp.span_id(9), "attributes": otlp.attributes({"why": "batch"})}
    span = otlp.span(2, 1, 1, values, events=[event], links=[link], status={"code": 2, "message": "no"})
    span["attributes"].append({"key": "deep", "value": deep})
    log = otlp.log("the door", values, traceId=otlp.trace_id(1), spanId=otlp.span_id(2), severityNumber=17, timeUnixNano=str(otlp.START))
    point = {"timeUnixNano": str(otlp.START), "attributes": otlp.attributes({"door": "north"})}
    histogram = point | {"count": "3", "sum": 1.5, "bucketCounts": ["1", "2"], "explicitBounds": [0.5]}
    metrics = [
        {"name": "steps", "unit": "1", "sum": {"aggregationTemporality": 2, "isMonotonic": True, "dataPoints": [point | {"asInt": "7"}]}},
        {"name": "heat", "gauge": {"dataPoints": [point | {"asDouble": 0.1}]}},
        {"name": "wait", "histogram": {"aggregationTemporality": 1, "dataPoints": [histogram]}},
    ]
    return {
        "traces": otlp.traces(otlp.span(1, 1), span, resource={"service.name": "maze", "host": "h1"}),
        "logs": otlp.logs(log),
        "metrics": {"resourceMetrics": [{"resource": {}, "scopeMetrics": [{"scope": {"name": "s"}, "metrics": metrics}]}]},
    }


def binary(otlp: Any, document: dict[str, Any]) -> bytes:
    if "resourceMetrics" not in document:
        return bytes(otlp.protobuf(document))
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    return bytes(json_format.ParseDict(document, ExportMetricsServiceRequest()).SerializeToString())


def flip_bits(body: bytes, rnd: random.Random) -> bytes:
    changed = bytearray(body)
    for _ in range(rnd.randrange(1, 6)):
        changed[rnd.randrange(len(changed))] ^= 1 << rnd.randrange(8)
    return bytes(changed)


def cut_off(body: bytes, rnd: random.Random) -> bytes:
    return body[: rnd.randrange(len(body))]


def lie_about_lengths(body: bytes, rnd: random.Random) -> bytes:
    """What may be a length (the byte after a tag), or a number in JSON, becomes another, up to the largest that can be written."""
    at = rnd.randrange(1, len(body))
    return body[:at] + rnd.choice([b"\x00", b"\x7f", b"\xff\x7f", b"\xff" * 4 + b"\x0f", b"\xff" * 9 + b"\x01", b"9" * 40]) + body[at + 1 :]


def repeat_a_piece(body: bytes, rnd: random.Random) -> bytes:
    start = rnd.randrange(len(body))
    end = min(start + rnd.randrange(1, 200), len(body))
    return body[:end] + body[start:end] * rnd.choice([1, 3, 300]) + body[end:]


def nest_deeply(body: bytes, rnd: random.Random) -> bytes:
    at, depth = rnd.randrange(len(body)), rnd.choice([50, 150, 5000])
    if body.startswith(b"{"):
        return body[:at] + b'{"arrayValue":{"values":[' * depth + body[at:]
    inner = b""
    for _ in range(min(depth, 1000)):
        inner = b"\x0a" + bytes([len(inner) & 0x7F]) + inner
    return body[:at] + inner + body[at:]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (flip_bits, cut_off, lie_about_lengths, repeat_a_piece, nest_deeply)


def test_no_mutation_of_a_real_request_makes_the_server_fail_or_the_account_wrong(start: Any, otlp: Any) -> None:
    import grpc
    import httpx

    from clew.wire.limits import Limits

    running = start(record=Limits(attributes=20, events=5, links=5, value_bytes=10_000))
    requests = corpus(otlp)
    answered: dict[Any, int] = {}
    with httpx.Client(base_url=running.url, timeout=60) as client, grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        exports = {signal: channel.unary_unary(f"/opentelemetry.proto.collector.{service}/Export") for signal, service in SERVICES.items()}

        def by_grpc(signal: str, body: bytes) -> str:
            try:
                exports[signal](body, timeout=60)
            except grpc.RpcError as error:
                return str(error.code().name)
            return "OK"

        for signal, document in requests.items():
            bodies = {PROTOBUF: binary(otlp, document), JSON: json.dumps(document).encode()}
            for kind, body in bodies.items():
                assert client.post(f"/v1/{signal}", content=body, headers={"content-type": kind}).status_code == 200
                for mutate in MUTATIONS:
                    for number in range(ROUNDS):
                        changed = mutate(body, random.Random(f"{signal} {kind} {mutate.__name__} {number}"))
                        status = client.post(f"/v1/{signal}", content=changed, headers={"content-type": kind}).status_code
                        assert status in (200, 400, 503), (signal, kind, mutate.__name__, number, status)
                        answered[status] = answered.get(status, 0) + 1
                        if kind == PROTOBUF:
                            code = by_grpc(signal, changed)
                            assert code in ("OK", "INVALID_ARGUMENT", "UNAVAILABLE"), (signal, mutate.__name__, number, code)
                            answered[code] = answered.get(code, 0) + 1
    assert min(answered[200], answered[400], answered["OK"], answered["INVALID_ARGUMENT"]) > ROUNDS  # neither all harmless nor all refused
    stats = running.settled()
    assert stats.gap == 0
    assert stats.received == stats.stored + sum(stats.rejected.values())
    assert set(stats.refused_requests) <= {"malformed"}
    assert running.post(bytes(otlp.protobuf(otlp.traces(otlp.span(77))))).status_code == 200
    assert running.settled().stored == stats.stored + 1
