"""OTLP over HTTP: what is acknowledged is stored and counted, what is not is answered by the book, and no sender can hurt the others."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.needs("chdb", "fastapi", "httpx", "grpc", "zstandard", "uvicorn")

JSON = "application/json"


def names(running: Any) -> list[str]:
    return sorted(name for (name,) in running.store.query("SELECT name FROM spans").result_rows)


def bodies(otlp: Any, *numbers: int) -> bytes:
    return bytes(otlp.protobuf(otlp.traces(*(otlp.span(number) for number in numbers))))


def compressed(how: str, data: bytes) -> bytes:
    import zstandard

    if how == "bare deflate":
        engine = zlib.compressobj(wbits=-15)
        return engine.compress(data) + engine.flush()
    ways: dict[str, Callable[[bytes], bytes]] = {
        "gzip": gzip.compress,
        "deflate": zlib.compress,
        "zstd": zstandard.compress,
        "identity": bytes,
    }
    return ways[how](data)


@pytest.mark.parametrize("how", ["identity", "gzip", "deflate", "bare deflate", "zstd"])
def test_every_compression_and_encoding_is_taken(start: Any, otlp: Any, how: str) -> None:
    running = start()
    header = how.removeprefix("bare ")
    protobuf = running.post(compressed(how, bodies(otlp, 1)), content_encoding=header)
    as_json = running.post(
        compressed(how, json.dumps(otlp.traces(otlp.span(2)), indent=1).encode()), kind=f"{JSON}; charset=utf-8", content_encoding=header
    )
    log = running.post(compressed(how, otlp.protobuf(otlp.logs(otlp.log("hello")))), signal="logs", content_encoding=header)
    assert (protobuf.status_code, protobuf.headers["content-type"], protobuf.content) == (200, "application/x-protobuf", b"")
    assert (as_json.status_code, as_json.headers["content-type"], as_json.content) == (200, JSON, b"{}")
    assert log.status_code == 200
    stats = running.settled()
    assert names(running) == ["span 1", "span 2"]
    assert running.store.value("SELECT count() FROM logs") == 1
    assert [(line.signal, line.sender, line.received, line.stored, line.waiting) for line in stats.lines] == [
        ("logs", "otlp:127.0.0.1", 1, 1, 0),
        ("traces", "otlp:127.0.0.1", 2, 2, 0),
    ]
    assert running.store.query("SELECT DISTINCT sender FROM spans").result_rows == [("otlp:127.0.0.1",)]


def test_spans_with_unusable_ids_are_left_out_and_the_sender_is_told(start: Any, otlp: Any) -> None:
    running = start()
    body = otlp.protobuf(otlp.traces(otlp.span(1), otlp.span(2, spanId="", name="bad"), otlp.span(3, traceId="00", name="worse")))
    answer = running.post(body)
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (answer.status_code, said.rejected_spans) == (200, 2)
    assert "'bad'" in said.error_message
    assert "'worse'" in said.error_message
    stats = running.settled()
    assert (stats.received, stats.stored, stats.rejected, stats.gap) == (3, 1, {"bad ids": 2}, 0)
    assert names(running) == ["span 1"]


def test_the_same_ids_are_unusable_over_json(start: Any, otlp: Any) -> None:
    running = start()
    document = otlp.traces(otlp.span(1), otlp.span(2, spanId="00" * 8, name="bad"), otlp.span(3, traceId="00" * 16, name="worse"))
    answers = [running.post(json.dumps(document).encode(), kind=JSON), running.post(otlp.protobuf(document))]
    said = answers[0].json()["partialSuccess"]
    assert ([answer.status_code for answer in answers], said["rejectedSpans"]) == ([200, 200], "2")
    assert "'bad'" in said["errorMessage"]
    stats = running.settled()
    assert (stats.received, stats.stored, stats.rejected, stats.gap) == (6, 2, {"bad ids": 4}, 0)
    assert names(running) == ["span 1"]


def test_what_is_beyond_a_records_limits_is_cut_counted_and_shown(start: Any, otlp: Any) -> None:
    from clew.wire.limits import Limits

    running = start(record=Limits(attributes=3, events=2, links=1, value_bytes=100_000))
    many = {f"k{number}": number for number in range(5)}
    document = otlp.traces(otlp.span(1, attributes=many | {"text": "x" * 200_000}), otlp.span(2, spanId="", name="bad"))
    answer = running.post(otlp.protobuf(document))
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    said = ExportTraceServiceResponse.FromString(answer.content).partial_success
    assert (said.rejected_spans, "3 attributes" in said.error_message, "'bad'" in said.error_message) == (1, True, True)
    long = running.post(json.dumps(otlp.traces(otlp.span(3, attributes={"text": "y" * 200_000}))).encode(), kind=JSON)
    assert long.json()["partialSuccess"]["rejectedSpans"] == "0"
    assert "1 values" in long.json()["partialSuccess"]["errorMessage"]
    stats = running.settled()
    assert (stats.received, stats.stored, stats.gap, stats.cut) == (3, 2, 0, {"attributes": 3, "values": 1})
    assert running.store.value("SELECT attributes['clew.cut.attributes'] FROM spans WHERE name = 'span 1'") == "3"
    with running.store.ingesting:
        running.collector.checkpoint()
    from clew.observe.ingest.account import Account

    assert [line.cut for line in Account(running.store.data_dir / "wal" / "account.json").lines()] == [stats.cut]


def test_empty_requests_are_fine_and_count_nothing(start: Any) -> None:
    running = start()
    assert [running.post(b"").status_code, running.post(b"{}", kind=JSON).status_code, running.post(b"", signal="logs").status_code] == [
        200
    ] * 3
    assert running.collector.stats().lines == []


REFUSALS: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "no protobuf": (b"\xff\xff\xff", {}, 400, "not an OTLP protobuf message"),
    "cut off": (b"\x0a\x7f\x12", {}, 400, "not an OTLP protobuf message"),
    "no JSON": (b"{", {"kind": JSON}, 400, "not JSON"),
    "other JSON": (b'{"resourceSpans": 1}', {"kind": JSON}, 400, "not OTLP/JSON"),
    "no gzip": (b"hello", {"content_encoding": "gzip"}, 400, "the body is not gzip"),
    "gzip cut off": (gzip.compress(b"x" * 1000)[:-9], {"content_encoding": "gzip"}, 400, "the body is not gzip"),
    "no zstd": (b"hello", {"content_encoding": "zstd"}, 400, "the body is not zstd"),
    "text": (b"hello", {"kind": "text/plain"}, 415, "content type 'text/plain'"),
    "brotli": (b"hello", {"content_encoding": "br"}, 415, "content encoding 'br'"),
    "too large": (b"x" * 2_000_001, {}, 413, "more than 2000000 bytes"),
    "gzip bomb": (gzip.compress(bytes(400_000_000), 1), {"content_encoding": "gzip"}, 413, "more than 2000000 bytes"),
}


def test_each_refusal_is_by_the_book_in_the_content_type_of_the_request(start: Any, otlp: Any) -> None:
    import zstandard

    running = start(body_bytes=2_000_000)
    bomb = zstandard.ZstdCompressor().compress(bytes(400_000_000))
    cases = REFUSALS | {"zstd bomb": (bomb, {"content_encoding": "zstd"}, 413, "more than 2000000 bytes")}
    for name, (body, options, status, message) in cases.items():
        answer = running.post(body, **options)
        assert answer.status_code == status, name
        if options.get("kind", "").endswith(("json", "plain")):
            assert answer.headers["content-type"] == JSON, name
            assert message in answer.json()["message"], name
            assert answer.json()["code"] == 3, name
        else:
            assert answer.headers["content-type"] == "application/x-protobuf", name
            assert answer.content.startswith(b"\x08\x03\x12"), name
            assert message in answer.content.decode("utf-8", "replace"), name
    stats = running.collector.stats()
    assert stats.refused_requests == {"malformed": 7, "too large": 3, "unsupported": 2}
    assert stats.received == 0
    assert running.post(bodies(otlp, 1)).status_code == 200


def test_too_many_records_in_one_request_are_refused(start: Any, otlp: Any) -> None:
    running = start(body_records=2)
    assert running.post(bodies(otlp, 1, 2, 3)).status_code == 413
    assert running.post(bodies(otlp, 1, 2)).status_code == 200


def test_other_methods_and_paths(start: Any) -> None:
    import httpx

    running = start()
    answer = httpx.get(f"{running.url}/v1/traces", headers={"content-type": JSON})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert httpx.post(f"{running.url}/v1/nothing", content=b"").status_code == 404


def test_a_full_log_asks_to_come_back_and_loses_nothing(start: Any, otlp: Any) -> None:
    running = start(log_bytes=20_000, drain=False)
    acknowledged = 0
    while True:
        body = otlp.protobuf(otlp.traces(otlp.span(acknowledged + 1, 1, 0, {"text": "x" * 1000})))
        answer = running.post(body)
        if answer.status_code != 200:
            break
        acknowledged += 1
        assert acknowledged < 100
    assert (answer.status_code, answer.headers["retry-after"], answer.content[:3]) == (503, "2", b"\x08\x0e\x12")
    before = running.collector.stats()
    assert (before.received, before.waiting, before.gap, before.refused_requests) == (acknowledged, acknowledged, 0, {"log full": 1})
    running.collector.start()
    assert running.settled().stored == acknowledged
    assert len(names(running)) == acknowledged


def test_more_at_once_than_there_is_room_for_asks_to_come_back(start: Any, otlp: Any) -> None:
    running = start(requests_bytes=1000)
    answer = running.post(bodies(otlp, *range(1, 30)))
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert running.post(bodies(otlp, 1)).status_code == 200


def test_a_body_that_stops_half_way_is_given_up(start: Any, otlp: Any) -> None:
    running = start(body_s=0.2)
    with socket.create_connection(("127.0.0.1", running.port)) as slow:
        slow.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
        slow.settimeout(30)
        said = b""
        while part := slow.recv(65536):
            said += part
    assert said.startswith(b"HTTP/1.1 408")
    assert b"did not arrive within 0.2 s" in said
    with socket.create_connection(("127.0.0.1", running.port)) as gone:
        gone.sendall(b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{")
    deadline = time.monotonic() + 30
    while running.collector.stats().refused_requests != {"too slow": 1, "cut off": 1}:
        assert time.monotonic() < deadline
    assert running.post(bodies(otlp, 1)).status_code == 200


@pytest.mark.parametrize(
    ("sent", "answer"),
    [(b"", b"408"), (b"POST /v1/traces HT", b"408"), (b"GET / HTTP/1.1\r\nx: " + b"x" * 100_000, b"431"), (b"nonsense\r\n\r\n", b"400")],
    ids=["nothing", "half a line", "an endless head", "no HTTP"],
)
def test_a_head_that_does_not_come_is_given_up(start: Any, sent: bytes, answer: bytes) -> None:
    running = start(head_s=0.2)
    with socket.create_connection(("127.0.0.1", running.port)) as slow:
        slow.sendall(sent)
        slow.settimeout(30)
        assert slow.recv(65536).split()[1] == answer
        while slow.recv(65536):
            pass


def test_hundreds_of_idle_connections_keep_nobody_out(start: Any, otlp: Any) -> None:
    running = start(connections=400)
    idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(300)]
    try:
        assert running.post(bodies(otlp, 1)).status_code == 200
        idle += [socket.create_connection(("127.0.0.1", running.port)) for _ in range(100)]
        idle[-1].settimeout(30)
        with socket.create_connection(("127.0.0.1", running.port)) as one_too_many:
            one_too_many.settimeout(30)
            assert one_too_many.recv(65536).startswith(b"HTTP/1.1 503")
    finally:
        for connection in idle:
            connection.close()
    assert running.settled().stored == 1


def test_the_same_sent_by_many_at_once_in_both_encodings_is_there_once(start: Any, otlp: Any) -> None:
    running = start()

    def send() -> None:
        for number in range(1, 21):
            assert running.post(bodies(otlp, number, number + 1)).status_code == 200
            assert running.post(json.dumps(otlp.traces(otlp.span(number))).encode(), kind=JSON).status_code == 200

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = running.settled()
    assert (stats.received, stats.stored, stats.gap) == (4 * 60, 4 * 60, 0)
    assert len(names(running)) == 21
    assert running.store.value("SELECT count() FROM conflicts FINAL") == 0


def test_usage_is_settled_when_the_child_comes_later_than_its_parent(start: Any, otlp: Any) -> None:
    running = start()
    usage = {"gen_ai.usage.input_tokens": 10, "gen_ai.usage.output_tokens": 1, "gen_ai.request.model": "gpt-4o"}
    agent = otlp.span(1, 1, 0, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner"} | usage)
    call = otlp.span(2, 1, 1, {"gen_ai.operation.name": "chat"} | usage)
    calls = "SELECT span_id, agent, input_tokens FROM model_calls"
    running.post(otlp.protobuf(otlp.traces(agent)))
    running.settled()
    assert running.store.query(calls).result_rows == [(otlp.span_id(1), "planner", 10)]
    running.post(otlp.protobuf(otlp.traces(call)))
    running.settled()
    assert running.store.query(calls).result_rows == [(otlp.span_id(2), "planner", 10)]


def test_what_the_engine_refuses_is_set_aside_and_can_be_tried_again(start: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.errors import StoreError
    from clew.observe.ingest import batch, quarantine

    running = start()
    insert = running.store.insert

    def refuse(signal: Any, encoding: Any, *parts: bytes, in_haste: bool) -> None:
        if b"poison" in b"".join(parts):
            raise StoreError("Code: 117. no such thing")
        insert(signal, encoding, *parts, in_haste=in_haste)

    monkeypatch.setattr(running.store, "insert", refuse)
    for number in range(1, 30):
        name = "poison" if number == 17 else f"span {number}"
        running.post(otlp.protobuf(otlp.traces(otlp.span(number, name=name), otlp.span(number + 100, name=name))))
    stats = running.settled()
    assert (stats.received, stats.stored, stats.rejected, stats.gap) == (58, 56, {"refused by the engine": 2}, 0)
    [kept] = quarantine.kept(running.store.data_dir)
    assert (kept.records, kept.sender, kept.error, kept.collected) == (2, "otlp:127.0.0.1", "Code: 117. no such thing", True)
    [again] = batch.retry(running.store, [], running.collector.note_retried)
    assert again.reason is not None
    monkeypatch.setattr(running.store, "insert", insert)
    assert batch.retry(running.store, [kept.name], running.collector.note_retried) == [batch.Retried(kept.name, 2, None)]
    stats = running.collector.stats()
    assert (stats.received, stats.stored, stats.rejected, stats.gap) == (58, 58, {}, 0)
    assert names(running).count("poison") == 2
    assert quarantine.kept(running.store.data_dir) == []


def test_while_the_store_refuses_for_want_of_space_records_wait_and_nothing_is_set_aside(
    start: Any, otlp: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clew.errors import StoreUnavailable
    from clew.observe.ingest import collector, quarantine

    monkeypatch.setattr(collector, "RETRY_S", 0.01)
    running = start()
    insert = running.store.insert

    def refuse(signal: Any, encoding: Any, *parts: bytes, in_haste: bool) -> None:
        raise StoreUnavailable("No space left on device")

    monkeypatch.setattr(running.store, "insert", refuse)
    assert running.post(bodies(otlp, 1, 2)).status_code == 200
    deadline = time.monotonic() + 30
    while running.collector.stats().trouble is None:
        assert time.monotonic() < deadline
    stats = running.collector.stats()
    assert (stats.received, stats.stored, stats.waiting, stats.gap) == (2, 0, 2, 0)
    assert "No space left" in stats.trouble
    monkeypatch.setattr(running.store, "insert", insert)
    assert running.settled().stored == 2
    assert running.collector.stats().trouble is None
    assert quarantine.kept(running.store.data_dir) == []


def test_the_account_goes_on_where_it_was(start: Any, otlp: Any) -> None:
    first = start()
    first.post(bodies(otlp, 1, 2, 3))
    first.settled()
    first.collector.close()
    from clew.observe.ingest.collector import Collector

    waiting = Collector(first.store, log_bytes=1 << 30)
    from clew.wire.check import check_protobuf
    from clew.wire.otlp import TRACES

    waiting.take(check_protobuf(TRACES, bodies(otlp, 4, 5)), "protobuf", "otlp:127.0.0.1").result(10)
    assert (waiting.stats().received, waiting.stats().stored, waiting.stats().waiting) == (5, 3, 2)
    waiting.close()  # without having drained: what waits stays in the log
    again = Collector(first.store, log_bytes=1 << 30)
    assert (again.stats().received, again.stats().stored, again.stats().waiting, again.stats().gap) == (5, 3, 2, 0)
    again.start()
    again.close()
    assert (again.stats().received, again.stats().stored, again.stats().waiting, again.stats().gap) == (5, 5, 0, 0)
    assert len(names(first)) == 5
    assert list((first.store.data_dir / "wal").glob("*.wal")) == []


KINDS = st.sampled_from(["application/x-protobuf", JSON])
DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.sampled_from(["set", "cut", "insert"])), min_size=1, max_size=4)


def test_no_body_whatever_makes_it_fail(start: Any, otlp: Any) -> None:
    running = start()
    whole = {
        "application/x-protobuf": otlp.protobuf(otlp.traces(otlp.span(1, 1, 0, {"a": [1, [2, {"b": "c"}]], "d": 1.5, "e": True}))),
        JSON: json.dumps(otlp.traces(otlp.span(1, 1, 0, {"a": [1, [2, {"b": "c"}]], "d": 1.5}))).encode(),
    }
    import httpx

    with httpx.Client(base_url=running.url) as client:

        @settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=300)
        @given(
            kind=KINDS,
            damage=DAMAGE,
            noise=st.none() | st.binary(max_size=200),
            coding=st.sampled_from(["identity", "gzip", "zstd", "deflate"]),
        )
        def check(kind: str, damage: list[tuple[float, int, str]], noise: bytes | None, coding: str) -> None:
            body = bytearray(noise if noise is not None else whole[kind])
            for where, value, what in damage:
                at = int(where * len(body))
                if what == "cut":
                    del body[at:]
                elif what == "insert":
                    body[at:at] = bytes([value])
                elif at < len(body):
                    body[at] = value
            content = compressed(coding, bytes(body)) if len(body) % 3 else bytes(body)
            answer = client.post("/v1/traces", content=content, headers={"content-type": kind, "content-encoding": coding})
            assert answer.status_code in (200, 400), (answer.status_code, answer.content)

        check()
    stats = running.settled()
    assert stats.gap == 0
    assert "failed" not in stats.refused_requests
    assert running.post(bodies(otlp, 77)).status_code == 200
    running.settled()
    assert "span 77" in names(running)
