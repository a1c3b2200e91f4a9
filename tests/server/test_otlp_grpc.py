"""OTLP over gRPC: the same as over HTTP, by gRPC's codes."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "uvicorn")

TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"


def call(running: Any, body: bytes, *, method: str = TRACES, compress: bool = False, key: str | None = None) -> bytes:
    import grpc

    with grpc.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        export = channel.unary_unary(method)
        metadata = [("authorization", f"Bearer {key}")] if key else []
        answer: bytes = export(body, timeout=30, metadata=metadata, compression=grpc.Compression.Gzip if compress else None)
        return answer


def refusal(running: Any, body: bytes, **options: Any) -> tuple[str, str, dict[str, Any]]:
    import grpc

    with pytest.raises(grpc.RpcError) as caught:
        call(running, body, **options)
    return caught.value.code().name, caught.value.details(), dict(caught.value.trailing_metadata())


def test_traces_and_logs_are_stored_plain_and_compressed(start: Any, otlp: Any) -> None:
    running = start()
    assert call(running, otlp.protobuf(otlp.traces(otlp.span(1)))) == b""
    assert call(running, otlp.protobuf(otlp.traces(otlp.span(2, 1, 0, {"text": "x" * 10_000}))), compress=True) == b""
    assert call(running, otlp.protobuf(otlp.logs(otlp.log("hello"))), method=LOGS) == b""
    stats = running.settled()
    assert (stats.received, stats.stored, stats.gap) == (3, 3, 0)
    assert {line.sender for line in stats.lines} == {"otlp:127.0.0.1"}
    assert running.store.value("SELECT count() FROM spans") == 2
    assert running.store.value("SELECT count() FROM logs") == 1


def test_spans_with_unusable_ids_are_left_out_and_the_sender_is_told(start: Any, otlp: Any) -> None:
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    running = start()
    answer = call(running, otlp.protobuf(otlp.traces(otlp.span(1), otlp.span(2, spanId="", name="bad"))))
    said = ExportTraceServiceResponse.FromString(answer).partial_success
    assert said.rejected_spans == 1
    assert "'bad'" in said.error_message


def test_refusals_have_the_codes_of_the_specification(start: Any, otlp: Any) -> None:
    running = start(body_bytes=2_000_000)
    code, details, _ = refusal(running, b"\xff\xff\xff")
    assert (code, "not an OTLP protobuf message" in details) == ("INVALID_ARGUMENT", True)
    code, details, _ = refusal(running, bytes(100_000_000), compress=True)  # a bomb
    assert (code, details) == ("INVALID_ARGUMENT", "the body has more than 2000000 bytes; send fewer records at a time")
    code, details, _ = refusal(running, b"\x0a" + gzip.compress(b"x" * 3_000_000, 0))
    assert code == "RESOURCE_EXHAUSTED"  # gRPC's own, before it is read
    assert refusal(running, b"", method="/opentelemetry.proto.collector.trace.v1.TraceService/Nothing")[0] == "UNIMPLEMENTED"
    assert call(running, otlp.protobuf(otlp.traces(otlp.span(1)))) == b""
    assert running.settled().refused_requests == {"malformed": 1, "too large": 1}


def test_a_full_log_says_when_to_come_back(start: Any, otlp: Any) -> None:
    running = start(log_bytes=1000, drain=False)
    code, details, trailing = refusal(running, otlp.protobuf(otlp.traces(otlp.span(1, 1, 0, {"text": "x" * 2000}))))
    assert (code, "is full" in details) == ("UNAVAILABLE", True)
    assert b"google.rpc.RetryInfo" in trailing["grpc-status-details-bin"]
    assert trailing["grpc-status-details-bin"].endswith(b"\x12\x04\x0a\x02\x08\x02")  # 2 seconds


def test_a_key_is_demanded_as_soon_as_there_is_one(start: Any, otlp: Any) -> None:
    running = start()
    body = otlp.protobuf(otlp.traces(otlp.span(1)))
    assert call(running, body) == b""
    sender, viewer = running.keys.add("sender", "ingest"), running.keys.add("viewer", "view")
    assert refusal(running, body)[0] == "UNAUTHENTICATED"
    assert refusal(running, body, key="clew_wrong")[0] == "UNAUTHENTICATED"
    assert refusal(running, body, key=viewer)[0] == "PERMISSION_DENIED"
    assert call(running, body, key=sender) == b""
    assert {line.sender for line in running.settled().lines} == {"otlp:127.0.0.1", "key:sender"}
