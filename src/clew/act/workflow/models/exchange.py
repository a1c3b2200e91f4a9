"""What a provider really sent: the bytes of an answer, heard on the wire beside the client library, for its own figures.

A client library's answer has lost the provider's own usage object and the cost it reported, and there is none when the library cannot
read the answer, although it was paid for. So the HTTP client's hook listens, within :meth:`Exchange.listening`, and the figures are read
from the body itself, also from a stream that broke off.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

import httpx
import httpx2

from clew.model.usage import Usage, reported_cost

MOST_BYTES: Final = 16 << 20
"""What is heard of one answer. The longest answers of today's models are below 1 MiB; of a longer one the figures are the library's."""


class Exchange:
    """One HTTP exchange with a provider.

    :param deadline: time of the event loop by which the answer must have come whole; None: none
    """

    def __init__(self, deadline: float | None = None) -> None:
        self.deadline = deadline
        self._bytes = bytearray()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """The answer to the request that is sent inside is heard, wherever its body is read."""
        token = _current.set(self)
        try:
            yield
        finally:
            _current.reset(token)

    def hear(self, data: bytes) -> None:
        if len(self._bytes) <= MOST_BYTES:
            self._bytes += data

    @property
    def bodies(self) -> list[Any]:
        """The JSON values of the answer: one, or the events of a stream; what is no JSON is left out."""
        if len(self._bytes) > MOST_BYTES:
            return []
        text = self._bytes.decode("utf-8", "replace")
        if (whole := _json(text)) is not None:
            return [whole]
        events = [_json(line.removeprefix("data:")) for line in text.splitlines() if line.startswith("data:")]
        return [event for event in events if event is not None]

    @property
    def is_cut(self) -> bool:
        """Whether the answer is a stream whose end did not come."""
        text = self._bytes.decode("utf-8", "replace")
        if not text.lstrip().startswith(("data:", "event:", ":", "id:")) or len(self._bytes) > MOST_BYTES:
            return False
        return not any(_ends(line) for line in text.splitlines() if line.startswith("data:"))

    def usage(self, provider: str) -> Usage | None:
        """The tokens that the provider reported, or None."""
        bodies = self.bodies
        return Usage.from_stream(bodies, provider=provider) if bodies else None

    @property
    def raw_usage(self) -> Mapping[str, Any] | None:
        """The provider's usage object; of a stream the last one."""
        for body in reversed(self.bodies):
            for holder in (body, _member(body, "message"), _member(body, "x_groq")):
                usage = _member(holder, "usage")
                if isinstance(usage, Mapping):
                    return usage
        return None

    @property
    def cost_usd(self) -> float | None:
        """What the provider says it charged, or None."""
        return next((cost for body in reversed(self.bodies) if (cost := reported_cost(body)) is not None), None)

    @property
    def model(self) -> str | None:
        """The model that the answer names, or None."""
        for body in self.bodies:
            for holder in (body, _member(body, "message")):
                name = _member(holder, "model")
                if isinstance(name, str) and name:
                    return name
        return None


async def listen(response: httpx.Response | httpx2.Response) -> None:
    """Hook of an HTTP client (``event_hooks={"response": [listen]}``): puts an ear on the body before anything reads it."""
    exchange = _current.get()
    if exchange is not None:
        response.stream = _Heard(response.stream, exchange)


_current: Final[ContextVar[Exchange | None]] = ContextVar("clew_exchange", default=None)


class _Heard(httpx.AsyncByteStream, httpx2.AsyncByteStream):
    """A body that is heard while it is read, and that must have come by the deadline: a server may send a byte now and then for ever."""

    def __init__(self, stream: Any, exchange: Exchange) -> None:
        self._stream = stream
        self._exchange = exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = aiter(self._stream)
        while True:
            async with asyncio.timeout_at(self._exchange.deadline):  # for each piece alone: never held across a yield
                try:
                    piece: bytes = await anext(pieces)
                except StopAsyncIteration:
                    return
            self._exchange.hear(piece)
            yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _ends(line: str) -> bool:
    """Whether an event ends a stream: OpenAI's ``[DONE]`` or a finish reason, Anthropic's ``message_stop``, an error."""
    data = line.removeprefix("data:").strip()
    if data == "[DONE]":
        return True
    event = _json(data)
    if _member(event, "type") in ("message_stop", "error") or _member(event, "error"):
        return True
    choices = _member(event, "choices")
    return isinstance(choices, list) and any(_member(choice, "finish_reason") for choice in choices)


def _member(value: Any, name: str) -> Any:
    return value.get(name) if isinstance(value, Mapping) else None
