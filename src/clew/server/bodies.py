"""Bodies of requests, within bounds: so many bytes, within such a time, however small they arrive compressed."""

from __future__ import annotations

import asyncio
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import zstandard
from starlette.types import Receive

CHUNK = 1 << 20
"""Most bytes that a decompressor gives at once, so that a bomb is noticed after as many beyond the limit."""


class BodyError(Exception):
    """A body that is not taken.

    :ivar status: of HTTP; :ivar reason: for the account, one of few
    """

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason


class Room:
    """Bytes of bodies that may be in memory at once, for all requests together."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._taken = 0

    @contextmanager
    def share(self) -> Iterator[Callable[[int], None]]:
        """A function that takes so many bytes more, and raises BodyError when there are not so many; all are given back at the end."""
        mine = 0

        def take(count: int) -> None:
            nonlocal mine
            with self._lock:
                if self._taken + count > self._limit:
                    raise BodyError(429, "overload", "too much is being received at once; send it again later")
                self._taken += count
                mine += count

        try:
            yield take
        finally:
            with self._lock:
                self._taken -= mine


async def read(receive: Receive, *, limit: int, seconds: float, take: Callable[[int], None]) -> bytes:
    """The whole body as it was sent.

    :raises BodyError: it is larger than ``limit``, takes longer than ``seconds``, its sender is gone, or there is no room
    """
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(seconds):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise BodyError(400, "cut off", "the sender went away before the end of the body")
                part = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(part)
                if size > limit:
                    raise too_large(limit)
                take(len(part))
                parts.append(part)
    except TimeoutError:
        raise BodyError(408, "too slow", f"the body did not arrive within {seconds:g} s") from None
    return b"".join(parts)


def too_large(limit: int) -> BodyError:
    return BodyError(413, "too large", f"the body has more than {limit} bytes; send fewer records at a time")


class _Decompressor(Protocol):
    def __call__(self, data: bytes, most: int) -> Iterator[bytes]: ...


def _zlib(bits: int) -> _Decompressor:
    def decompress(data: bytes, most: int) -> Iterator[bytes]:
        while data:  # gzip files may be concatenated
            engine = zlib.decompressobj(bits)
            while data and not engine.eof:
                yield engine.decompress(data, most)
                data = engine.unconsumed_tail or engine.unused_data
            if not engine.eof:
                yield engine.flush()
                if not engine.eof:
                    raise zlib.error("it is cut off")

    return decompress


def _deflate(data: bytes, most: int) -> Iterator[bytes]:
    """zlib's format by the standard; some senders mean bare deflate."""
    is_zlib = len(data) > 1 and data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
    return _zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)(data, most)


def _zstd(data: bytes, most: int) -> Iterator[bytes]:
    engine = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(data, read_across_frames=True)
    while part := engine.read(most):
        yield part


DECOMPRESSORS: dict[str, _Decompressor] = {
    "gzip": _zlib(16 + zlib.MAX_WBITS),
    "x-gzip": _zlib(16 + zlib.MAX_WBITS),
    "deflate": _deflate,
    "zstd": _zstd,
}


def decompress(encoding: str, data: bytes, *, limit: int, take: Callable[[int], None]) -> bytes:
    """The body as it was before ``encoding`` (the value of Content-Encoding).

    :raises BodyError: the encoding is not known, the data is damaged, it is larger than ``limit``, or there is no room
    """
    if encoding in ("", "identity"):
        return data
    engine = DECOMPRESSORS.get(encoding)
    if engine is None:
        raise BodyError(415, "unsupported", f"content encoding {encoding[:40]!r} is not known; use gzip, deflate, zstd or none")
    parts: list[bytes] = []
    size = 0
    try:
        for part in engine(data, CHUNK):
            size += len(part)
            if size > limit:
                raise too_large(limit)
            take(len(part))
            parts.append(part)
    except (zlib.error, zstandard.ZstdError) as error:
        raise BodyError(400, "malformed", f"the body is not {encoding}: {error}") from None
    return b"".join(parts)
