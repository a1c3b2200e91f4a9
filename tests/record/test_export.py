"""The exporter sends what is recorded to a collector, tries again, and delays nothing when the collector is dead."""

from __future__ import annotations

import gzip
import json
import random
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.record import state
from clew.record.export import Exporter
from clew.testing import decode

LINE = b'{"resourceSpans":[]}\n'


class Collector(ThreadingHTTPServer):
    """Answers with the statuses it is told, then with 200."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, dict[str, str]]] = []
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        super().__init__(("127.0.0.1", 0), _Handler)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.requests.append((self.path, dict(self.headers), gzip.decompress(body)))
        status, headers = server.answers.pop(0) if server.answers else (200, {})
        self.send_response(status)
        for name, value in {"Content-Length": "2", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: Any) -> None:
        return None


@pytest.fixture
def collector() -> Iterator[Collector]:
    server = Collector()
    yield server
    server.shutdown()
    server.server_close()


def until(condition: Callable[[], bool]) -> None:
    moment = threading.Event()
    for _ in range(1000):
        if condition():
            return
        moment.wait(0.01)
    raise AssertionError("the condition did not come true in ten seconds")


def test_spans_go_to_the_spool_and_to_the_collector(collector: Collector, tmp_path: Path) -> None:
    clew.init(data_dir=tmp_path, endpoint=collector.url + "/base/", headers={"X-Project": "p"})
    try:
        with clew.workflow("w"):
            clew.flush()  # a start record: for our own spool only
            with clew.tool("t"):
                pass
        clew.flush()
        until(lambda: clew.stats().exported == 2)
    finally:
        clew.shutdown()
        state.forget()
    sent = [span.name for path, _, body in collector.requests if path == "/base/v1/traces" for span in decode(body)]
    assert sorted(sent) == ["t", "w"]
    assert all(headers["X-Project"] == "p" for _, headers, _ in collector.requests)
    assert any(path == "/base/v1/logs" and b"clew.recorder.stats" in body for path, _, body in collector.requests)
    spooled = [span for file in (tmp_path / "spool").iterdir() for line in file.read_bytes().splitlines() for span in decode(line)]
    assert sorted(span.name for span in spooled) == ["t", "w", "w"]


def test_it_tries_again_when_that_may_help(collector: Collector) -> None:
    collector.answers = [(503, {}), (429, {"Retry-After": "0"}), (502, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})]
    exporter = Exporter(collector.url, {}, first_pause_s=0.01)
    drawn = random.getstate()
    exporter.write(LINE, 3, starts=False)
    until(lambda: exporter.sent == 3)
    assert len(collector.requests) == 4
    assert random.getstate() == drawn, "a program that has seeded its random numbers gets those it expects"
    exporter.close(1)


def test_it_gives_up_what_the_collector_refuses_and_goes_on(collector: Collector) -> None:
    collector.answers = [(400, {})]
    exporter = Exporter(collector.url, {}, first_pause_s=0.01)
    exporter.write(LINE, 3, starts=False)
    exporter.write(LINE, 2, starts=False)
    until(lambda: exporter.sent == 2)
    assert exporter.dropped == 3
    exporter.close(1)


def test_a_dead_collector_blocks_nothing_and_costs_bounded_memory(tmp_path: Path) -> None:
    clew.init(data_dir=tmp_path, endpoint="http://127.0.0.1:9")
    try:
        for _ in range(1000):
            with clew.tool("t"):
                pass
        assert clew.flush(5)
        assert clew.stats().written == 1000
        assert clew.shutdown(0.05)
    finally:
        state.forget()
    exporter = Exporter("http://127.0.0.1:9", {}, queue_bytes=10 * len(LINE))
    for _ in range(100):
        exporter.write(LINE, 1, starts=False)
    assert len(exporter._waiting) == 10
    assert exporter.dropped == 90
    exporter.close(0.0)
    assert exporter.dropped == 100


def test_an_endpoint_that_is_no_address_is_said() -> None:
    with pytest.raises(ValueError, match="'localhost:4318' is not an http or https address"):
        Exporter("localhost:4318", {})


def test_what_is_sent_is_otlp_json(collector: Collector) -> None:
    exporter = Exporter(collector.url, {})
    exporter.write(LINE, 0, starts=False)
    until(lambda: bool(collector.requests))
    path, headers, body = collector.requests[0]
    assert (path, headers["Content-Type"], headers["Content-Encoding"]) == ("/v1/traces", "application/json", "gzip")
    assert json.loads(body) == {"resourceSpans": []}
    exporter.close(1)
