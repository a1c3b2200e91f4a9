"""The HTTP server: uvicorn on open sockets, with the bounds that it lacks: on heads, on slow senders and readers, on idle connections, on their
number."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from clew.errors import SettingError

try:
    import uvloop
except ImportError:  # it is not made for Windows
    uvloop = None  # type: ignore[assignment]

HEAD_BYTES = 64 << 10
"""Longest head of a request: far beyond any browser's cookies."""
GRACE_S = 10
"""How long a server that was told to stop waits for requests under way."""


@dataclass(frozen=True, slots=True)
class Bounds:
    connections: int
    head_s: float
    """Longest time from the first byte of a request, or from opening a connection, to the end of the head; and longest time in which a reader
    may take nothing of an answer that waits for it."""
    idle_s: float


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket.

    :raises SettingError: the address cannot be had; names the setting to change
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(2048)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        flag = setting.replace("_", "-")
        off = ", or 0 to turn it off" if setting != "port" else ""
        raise SettingError(f"{host}:{port} cannot be listened on: {error.strerror}; choose another with --{flag}{off}") from None
    return listener


class _Connection(HttpToolsProtocol):
    """A connection that is closed when its head is too long or too slow, or when there are too many."""

    bounds: Bounds
    _head_bytes = 0
    _waiting: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if len(self.connections) > self.bounds.connections:
            self._end(b"503 Service Unavailable")
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self.resume_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """Called when an answer waits for its reader."""
        self.flow.pause_writing()
        self._expect_reading(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self.flow.resume_writing()

    def _expect_reading(self, before: int) -> None:
        def look() -> None:
            left = self.transport.get_write_buffer_size()
            if left < before:
                self._expect_reading(left)
            else:
                self.transport.abort()  # what waited for it is memory

        self._reading = self.loop.call_later(self.bounds.head_s, look)

    def data_received(self, data: bytes) -> None:
        if self._waiting is None and (self.cycle is None or self.cycle.response_complete):
            self._expect_head()  # of the next request on a kept connection
        super().data_received(data)
        if self._waiting is not None:  # the head has not ended yet
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._end(b"431 Request Header Fields Too Large")

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def _expect_head(self) -> None:
        self._head_bytes = 0
        self._waiting = self.loop.call_later(self.bounds.head_s, self._end, b"408 Request Timeout")

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _end(self, status: bytes) -> None:
        self._stop_waiting()
        if not self.transport.is_closing():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
            self.transport.close()


class HttpServer(uvicorn.Server):
    """Serves an app on listening sockets until stop(); signals are the caller's."""

    def __init__(self, app: ASGIApp, bounds: Bounds, *, ready: Callable[[], None], stopping: Callable[[], None]) -> None:
        """
        :param ready: called once requests are answered
        :param stopping: called before the requests under way are waited for; ends those that would not end by themselves
        """
        self._ready = ready
        self._stopping = stopping
        self._running: asyncio.AbstractEventLoop | None = None
        self._stopped = asyncio.Event()
        protocol = type("Connection", (_Connection,), {"bounds": bounds})
        super().__init__(
            uvicorn.Config(
                app,
                http=protocol,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,
                timeout_keep_alive=max(int(bounds.idle_s), 1),
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until stop() was called and the requests under way are answered."""
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(self.serve(sockets))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and not self.should_exit:
            self._ready()

    async def main_loop(self) -> None:
        """Waits, where uvicorn looks ten times a second whether it should stop."""
        self._running = asyncio.get_running_loop()
        if not self.should_exit:
            await self._stopped.wait()
        self._running = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)

    def stop(self) -> None:
        """Takes no new connection, finishes the requests under way, and ends. Callable from a signal handler."""
        self.should_exit = True
        if self._running is not None:
            self._running.call_soon_threadsafe(self._stopped.set)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
