"""Live tail: what is stored goes to those who listen, within this process. Nothing is asked of the store while nothing is stored.

A batch that was stored wakes one task, which asks for the batch's records once for each filter that is listened with, and hands the answer
to each listener's queue. A queue is bounded: who reads too slowly is told so and let go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import msgspec

from clew.errors import ClewError
from clew.observe.query import logs, search
from clew.observe.store.store import Stored

log = logging.getLogger("clew.server")

Of = Literal["spans", "logs"]

LISTENERS = 200
"""Most at once."""
WAITING = 64
"""Events that wait for one listener; one is at most some hundred kilobytes, mostly a few."""
GATHER_S = 0.2
"""Shortest time between two events: many small batches become one."""
KEEP_ALIVE_S = 15.0
"""Silence after which a comment is sent, so that proxies and readers know that the connection lives."""
REMEMBERED = 20_000
"""Records that were sent lately, which are not sent again when a batch overlaps another in time."""


class _Source(NamedTuple):
    signal: str
    question: Callable[..., Any]
    rows: str


_SOURCES: dict[Of, _Source] = {
    "spans": _Source("traces", search.arrived, "hits"),
    "logs": _Source("logs", logs.arrived, "logs"),
}

_Topic = tuple[Of, str]


@dataclass(eq=False)
class Listener:
    """One who listens: iterating gives server-sent events as bytes, until the listener is too slow or the server stops."""

    topic: _Topic
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(WAITING + 2))
    ended: bool = False

    def put(self, event: bytes) -> None:
        if self.ended:
            return
        if self.queue.qsize() >= WAITING:
            self.end(f"this reader is more than {WAITING} events behind; connect again to go on from now")
        else:
            self.queue.put_nowait(event)

    def end(self, why: str) -> None:
        """Tells why, after what already waits, and ends."""
        if not self.ended:
            self.ended = True
            self.queue.put_nowait(_event("end", msgspec.json.encode({"message": why})))
            self.queue.put_nowait(None)

    async def events(self) -> AsyncIterator[bytes]:
        yield b": listening\n\n"
        while True:
            try:
                event = await asyncio.wait_for(self.queue.get(), KEEP_ALIVE_S)
            except TimeoutError:
                event = b": alive\n\n"
            if event is None:
                return
            yield event


class Live:
    """The listeners of a server, and the task that serves them. All but note() is called in the server's event loop."""

    def __init__(self, ask: Callable[..., Coroutine[Any, Any, Any]]) -> None:
        """:param ask: answers ``question(store, …)`` from a reading thread (Served.ask)"""
        self._ask = ask
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._new: dict[str, tuple[int, int]] = {}
        self._wake = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._sent: dict[_Topic, OrderedDict[bytes, None]] = {}

    @property
    def is_full(self) -> bool:
        return len(self._listeners) >= LISTENERS

    def listen(self, of: Of, text: str) -> Listener:
        """A new listener; leave() must follow."""
        listener = Listener((of, text))
        self._loop = asyncio.get_running_loop()
        self._listeners.add(listener)
        if self._pump is None or self._pump.done():
            self._pump = self._loop.create_task(self._serve())
        return listener

    def leave(self, listener: Listener) -> None:
        """Idempotent."""
        self._listeners.discard(listener)
        if all(other.topic != listener.topic for other in self._listeners):
            self._sent.pop(listener.topic, None)
        if not self._listeners:
            self._stop()

    def close(self) -> None:
        """Lets everyone go. Idempotent."""
        for listener in self._listeners:
            listener.end("the server stops")
        self._listeners.clear()
        self._stop()

    def note(self, stored: Stored) -> None:
        """A batch is stored. Called from the thread that stored it."""
        if self._listeners and self._loop is not None:
            with suppress(RuntimeError):  # the loop has just been closed
                self._loop.call_soon_threadsafe(self._remember, stored)

    def _stop(self) -> None:
        if self._pump is not None and self._loop is not None and not self._loop.is_closed():
            self._pump.cancel()
        self._pump = None
        self._new.clear()
        self._sent.clear()

    def _remember(self, stored: Stored) -> None:
        first, last = self._new.get(stored.signal, (stored.first_ns, stored.last_ns))
        self._new[stored.signal] = (min(first, stored.first_ns), max(last, stored.last_ns))
        self._wake.set()

    async def _serve(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            new, self._new = self._new, {}
            for topic in {listener.topic for listener in self._listeners}:
                times = new.get(_SOURCES[topic[0]].signal)
                if times is not None and (event := await self._event(topic, *times)) is not None:
                    for listener in [one for one in self._listeners if one.topic == topic]:
                        listener.put(event)
            await asyncio.sleep(GATHER_S)

    async def _event(self, topic: _Topic, first_ns: int, last_ns: int) -> bytes | None:
        """What is new of a topic, as one event; None when nothing is."""
        of, text = topic
        source = _SOURCES[of]
        try:
            found = await self._ask(source.question, text, first_ns=first_ns, last_ns=last_ns)
        except Exception as error:
            if not isinstance(error, ClewError):
                log.exception("the live tail failed")
            return _event("trouble", msgspec.json.encode({"message": str(error)}))
        sent = self._sent.setdefault(topic, OrderedDict())
        fresh = []
        for row in map(msgspec.json.encode, getattr(found, source.rows)):
            if row not in sent:
                sent[row] = None
                fresh.append(msgspec.Raw(row))
        while len(sent) > REMEMBERED:
            sent.popitem(last=False)
        if not fresh:
            return None
        return _event(of, msgspec.json.encode({source.rows: fresh, "more": found.more}))


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
