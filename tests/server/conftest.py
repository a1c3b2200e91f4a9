"""A store and OTLP requests, as the tests of the observing wing have them, and a server that listens in this process."""

from __future__ import annotations

import importlib.util
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

_spec = importlib.util.spec_from_file_location("observe_fixtures", Path(__file__).parents[1] / "observe" / "conftest.py")
assert _spec is not None
assert _spec.loader is not None
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)

made = _fixtures.made
store = _fixtures.store
otlp = _fixtures.otlp


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.01)
    return value


@dataclass
class Running:
    """A server in this process, with the store behind it."""

    store: Any
    collector: Any
    keys: Any
    url: str
    port: int
    grpc_port: int
    server: Any

    def post(self, body: bytes, *, signal: str = "traces", kind: str = "application/x-protobuf", **headers: str) -> Any:
        import httpx

        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(f"{self.url}/v1/{signal}", content=body, headers={"content-type": kind} | named, timeout=30)

    def settled(self) -> Any:
        """The account, once everything that was acknowledged is in the store."""
        return until(lambda: (stats := self.collector.stats()).waiting == 0 and stats.settled and stats, "the log to be drained")


Start = Callable[..., Running]


@pytest.fixture
def start(store: Any) -> Iterator[Start]:
    """Starts a server of the store: limits by name, ``exposed``, ``log_bytes``, ``bounds``."""
    from clew.observe.ingest.collector import Collector
    from clew.server.app import app
    from clew.server.entrance import entrance
    from clew.server.keys import Access, Keys
    from clew.server.listening import Bounds, HttpServer, listen
    from clew.server.otlp_grpc import OtlpGrpc
    from clew.server.receiving import Limits, Receiving

    closing: list[Callable[[], None]] = []

    def begin(
        *, exposed: bool = False, log_bytes: int = 1 << 30, connections: int = 1000, head_s: float = 30, drain: bool = True, **limits: Any
    ) -> Running:
        collector = Collector(store, log_bytes=log_bytes)
        receiving = Receiving(collector, replace(Limits.of_settings(), **limits))
        keys = Keys(store.data_dir)
        access = Access(keys, exposed=exposed)
        listener = listen("127.0.0.1", 0, "port")
        port = listener.getsockname()[1]
        grpc = OtlpGrpc(receiving, "127.0.0.1:0", access)
        ready = threading.Event()
        answering = app(store, collector)
        whole = entrance(answering, receiving, access, exposed=exposed)
        server = HttpServer(whole, Bounds(connections, head_s, 75), ready=ready.set, stopping=answering.state.served.live.close)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        grpc.start()
        if drain:
            collector.start()

        def close() -> None:
            server.stop()
            thread.join()
            grpc.close(1)
            receiving.close()
            collector.close()
            listener.close()

        closing.append(close)
        assert ready.wait(30)
        return Running(store, collector, keys, f"http://127.0.0.1:{port}", port, grpc.port, server)

    yield begin
    for close in closing:
        close()
