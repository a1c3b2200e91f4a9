"""Clients that are slow, many, malicious or broken: the server stays up, within its memory, and loses nothing that it acknowledged."""

from __future__ import annotations

import gzip
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.needs("chdb", "fastapi", "grpc", "httpx", "psutil", "uvicorn", "zstandard", "opentelemetry.proto")

Until = Callable[..., Any]
JSON, PROTOBUF = "application/json", "application/x-protobuf"
MIB = 1 << 20


@dataclass
class Server:
    process: subprocess.Popen[bytes]
    port: int
    grpc_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rss(self) -> int:
        import psutil

        return int(psutil.Process(self.process.pid).memory_info().rss)

    def post(self, body: bytes, signal_name: str = "traces", kind: str = JSON, **headers: str) -> Any:
        import httpx

        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.url}/v1/{signal_name}", content=body, headers={"content-type": kind} | named, timeout=60)

    def stats(self) -> Any:
        import httpx

        return httpx.get(f"{self.url}/api/v1/stats", timeout=60).json()

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), 60)
        made.settimeout(60)
        return made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    command = [sys.executable, "-m", "clew.cli.main", "serve", "--port", str(ports[0]), "--otlp-http", "0", "--otlp-grpc", str(ports[1])]
    bounds = {
        "CLEW_BODY_S": "2",
        "CLEW_BODY_BYTES": str(8 * MIB),
        "CLEW_CONNECTIONS": "1200",
        "CLEW_DATA_DIR": str(tmp_path_factory.mktemp("rough")),
    }
    log = Path(bounds["CLEW_DATA_DIR"]).with_suffix(".log")
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=os.environ | bounds, stdout=subprocess.PIPE, stderr=errors)
    assert process.stdout is not None
    assert process.stdout.readline(), log.read_text()
    yield Server(process, *ports)
    assert process.poll() is None, log.read_text()
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    process.stdout.close()
    assert "Traceback" not in log.read_text()


@pytest.fixture(autouse=True)
def kept(server: Server, until: Until) -> Iterator[None]:
    """After each test the server answers, its account is closed, and it has failed at nothing."""
    yield
    stats = until(lambda: (found := server.stats())["waiting"] == 0 and found, "the log to be drained")
    assert stats["gap"] == 0
    assert stats["received"] == stats["stored"] + sum(stats["rejected"].values())
    assert "failed" not in stats["refused_requests"]


def test_a_thousand_idle_connections_keep_nobody_out(server: Server, make_request: Any) -> None:
    before = server.rss()
    idle = [server.connect() for _ in range(1000)]
    try:
        assert server.post(make_request(1, 3)).status_code == 200
        assert server.rss() - before < 100 * MIB
    finally:
        for one in idle:
            one.close()


def test_bombs_and_bodies_that_stop_half_way_cost_no_memory(server: Server, make_request: Any) -> None:
    import zstandard

    before = server.rss()
    half = [server.connect() for _ in range(50)]
    for one in half:
        one.sendall(
            b"POST /v1/traces HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 8000000\r\n\r\n"
            + b" " * 4000
        )
    zeros = bytes(500 * MIB)
    bombs = {"gzip": gzip.compress(zeros, 1), "zstd": zstandard.ZstdCompressor().compress(zeros)}
    for coding, bomb in bombs.items():
        with ThreadPoolExecutor(8) as many:
            answers = list(many.map(lambda _, coding=coding, bomb=bomb: server.post(bomb, content_encoding=coding).status_code, range(8)))
        assert set(answers) <= {413, 429}, coding
        assert 413 in answers
    assert server.rss() - before < 200 * MIB
    assert {one.recv(1000).split()[1] for one in half} == {b"408"}
    for one in half:
        one.close()
    assert server.post(make_request(2, 3)).status_code == 200


def test_readers_that_do_not_read_are_let_go(server: Server, make_request: Any, until: Until) -> None:
    """Of a big answer, and of the live tail."""
    import httpx
    import psutil

    assert server.post(make_request(3, 4000, text="w" * 1000)).status_code == 200
    until(lambda: server.stats()["waiting"] == 0, "the run to be stored")
    query = b'{"query": "SELECT value FROM contents WHERE trace_id LIKE \'00000004%\'"}'
    big = b"POST /api/v1/sql HTTP/1.1\r\nhost: localhost\r\ncontent-length: %d\r\n\r\n%b" % (len(query), query)
    assert len(httpx.post(f"{server.url}/api/v1/sql", content=query, timeout=60).content) > 4 * MIB
    before = server.rss()
    stuck = []
    for number in range(20):
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that little waits outside of the server
        one.connect(("127.0.0.1", server.port))
        one.sendall(big if number % 2 else b"GET /api/v1/live HTTP/1.1\r\nhost: localhost\r\n\r\n")
        stuck.append(one)
    for number in range(20):  # for the tail
        assert server.post(make_request(100 + number, 40, text="x" * 200)).status_code == 200
    assert server.rss() - before < 400 * MIB

    def held() -> set[int]:
        """Which of the big answers' connections the server still has."""
        known = {one.raddr.port for one in psutil.Process(server.process.pid).net_connections("tcp") if one.raddr}
        return known & {one.getsockname()[1] for one in stuck[1::2]}

    until(lambda: not held(), "the readers to be let go")
    for one in stuck:
        one.close()


def test_many_at_once_good_and_broken_are_each_told_the_truth(server: Server, make_request: Any, until: Until) -> None:
    import httpx

    before = server.stats()["received"]

    def send(number: int) -> int:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            sent = 0
            for step in range(6):
                trace = 1000 + number * 10 + step
                good = step % 3 != 2
                body = make_request(trace, 5) if good else make_request(trace, 5)[:-30]
                answer = client.post("/v1/traces", content=body, headers={"content-type": JSON})
                assert answer.status_code == (200 if good else 400) or answer.status_code in (429, 503), answer.text
                sent += 5 * (answer.status_code == 200)
        return sent

    with ThreadPoolExecutor(32) as many:
        acknowledged = sum(many.map(send, range(64)))
    assert acknowledged > 0
    stats = until(lambda: (found := server.stats())["waiting"] == 0 and found, "the log to be drained")
    assert stats["received"] - before == acknowledged
    query = {"query": f"SELECT count() FROM spans WHERE trace_id >= '{1001:08x}' AND trace_id < '{1001 + 640:08x}'"}
    assert httpx.post(f"{server.url}/api/v1/sql", json=query, timeout=60).json()["rows"] == [[acknowledged]]


def _whole(signal_name: str) -> bytes:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    if signal_name == "logs":
        logs = ExportLogsServiceRequest()
        record = logs.resource_logs.add().scope_logs.add().log_records.add(time_unix_nano=5, severity_text="WARN")
        record.body.kvlist_value.values.add(key="k").value.array_value.values.add().int_value = 3
        return bytes(logs.SerializeToString())
    metrics = ExportMetricsServiceRequest()
    point = metrics.resource_metrics.add().scope_metrics.add().metrics.add(name="m").histogram.data_points.add(time_unix_nano=5, count=1)
    point.bucket_counts.extend([1, 0])
    point.explicit_bounds.append(0.5)
    point.exemplars.add(as_double=0.1, trace_id=b"t" * 16).filtered_attributes.add(key="a").value.string_value = "b"
    return bytes(metrics.SerializeToString())


DAMAGE = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255), st.sampled_from(["set", "cut", "insert"])), min_size=1, max_size=4)


def damaged(whole: bytes, damage: list[tuple[float, int, str]]) -> bytes:
    body = bytearray(whole)
    for where, value, what in damage:
        at = int(where * len(body))
        if what == "cut":
            del body[at:]
        elif what == "insert":
            body[at:at] = bytes([value])
        elif at < len(body):
            body[at] = value
    return bytes(body)


@pytest.mark.parametrize("signal_name", ["logs", "metrics"])
def test_no_damaged_body_of_logs_or_metrics_makes_it_fail(server: Server, signal_name: str) -> None:
    import httpx

    whole = _whole(signal_name)
    with httpx.Client(base_url=server.url, timeout=60) as client:

        @settings(deadline=None, max_examples=100)
        @given(DAMAGE)
        def check(damage: list[tuple[float, int, str]]) -> None:
            answer = client.post(f"/v1/{signal_name}", content=damaged(whole, damage), headers={"content-type": PROTOBUF})
            assert answer.status_code in (200, 400), answer.text

        check()


def test_no_damaged_message_over_grpc_makes_it_fail(server: Server) -> None:
    import grpc

    whole = _whole("logs")
    refused = set()
    with grpc.insecure_channel(f"127.0.0.1:{server.grpc_port}") as channel:
        export = channel.unary_unary("/opentelemetry.proto.collector.logs.v1.LogsService/Export")

        @settings(deadline=None, max_examples=100)
        @given(DAMAGE)
        def check(damage: list[tuple[float, int, str]]) -> None:
            try:
                export(damaged(whole, damage), timeout=60)
            except grpc.RpcError as error:
                refused.add(error.code())

        check()
    assert refused == {grpc.StatusCode.INVALID_ARGUMENT}


@pytest.mark.parametrize("levels", [50, 5_000, 100_000])
def test_values_nested_however_deep_are_kept_or_refused(server: Server, levels: int) -> None:
    value: Any = '{"intValue":"1"}'
    text = '{"arrayValue":{"values":[' * levels + value + "]}}" * levels
    span = '{"traceId":"%s","spanId":"%s","name":"deep","startTimeUnixNano":"1","attributes":[{"key":"a","value":%s}]}'
    body = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + span % ("ab" * 16, f"{levels:016x}", text) + "]}]}]}"
    assert server.post(body.encode()).status_code in ((200,) if levels == 50 else (200, 400))
    assert server.post(b'{"resourceSpans":[]}').json() == {}
