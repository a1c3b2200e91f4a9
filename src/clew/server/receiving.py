"""What both ways in (OTLP/HTTP and OTLP/gRPC) do with a body: bound it, check it, make it durable, and say what became of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from clew import settings
from clew.errors import MalformedRecord, StoreUnavailable
from clew.observe.ingest.collector import Collector
from clew.observe.ingest.wal import LogFull
from clew.observe.store.engine import Encoding
from clew.server.bodies import BodyError, Room, decompress
from clew.wire.check import Checked, check_json, check_protobuf
from clew.wire.limits import Limits as RecordLimits
from clew.wire.otlp import Signal

RETRY_AFTER_S = 2
"""What a sender is asked to wait when there is no room: about as long as the store needs for a few batches."""
INLINE_BYTES = 32 << 10
"""A smaller body is checked where it arrives: that takes less than to pass it to a thread."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one request, and of all together (settings.py)."""

    body_bytes: int
    body_records: int
    body_s: float
    requests: int
    requests_bytes: int
    record: RecordLimits

    @classmethod
    def of_settings(cls) -> Limits:
        own = {name: settings.get(name) for name in ("body_bytes", "body_records", "body_s", "requests", "requests_bytes")}
        return cls(**own, record=RecordLimits(*(settings.get(f"body_{name}") for name in RecordLimits._fields)))


class Receiving:
    """Shared by all receivers of a collector."""

    def __init__(self, collector: Collector, limits: Limits) -> None:
        self.collector = collector
        self.limits = limits
        self.room = Room(limits.requests_bytes)
        # One: checking holds the interpreter, and two that take it from each other cost a tenth of the rate.
        self._checkers = ThreadPoolExecutor(1, "clew-check")

    async def take(
        self, signal: Signal, encoding: Encoding, compression: str, data: bytes, sender: str, take: Callable[[int], None]
    ) -> Checked:
        """Durable when it returns. What of it was left out is in the result's ``rejected`` and ``cut``.

        :param take: of Room.share(), for what decompression adds
        :raises BodyError: why nothing of it was taken, and whether to send it again
        """
        if len(data) <= INLINE_BYTES and compression in ("", "identity"):
            checked = self.check(signal, encoding, compression, data, take)
        else:
            loop = asyncio.get_running_loop()
            checked = await loop.run_in_executor(self._checkers, self.check, signal, encoding, compression, data, take)
        written = self.submit(checked, encoding, sender)
        if written is not None:
            try:
                await asyncio.wrap_future(written)
            except StoreUnavailable as error:
                raise BodyError(503, "disk", str(error)) from None
        return checked

    def check(self, signal: Signal, encoding: Encoding, compression: str, data: bytes, take: Callable[[int], None]) -> Checked:
        """:raises BodyError: it cannot be taken"""
        limits = self.limits
        data = decompress(compression, data, limit=limits.body_bytes, take=take)
        try:
            checked = check_json(data, signal, limits.record) if encoding == "json" else check_protobuf(signal, data, limits.record)
        except MalformedRecord as error:
            raise BodyError(400, "malformed", str(error)) from None
        if checked.records > limits.body_records:
            raise BodyError(413, "too many records", f"{checked.records} records in one request, at most {limits.body_records} are taken")
        return checked

    def submit(self, checked: Checked, encoding: Encoding, sender: str) -> Future[None] | None:
        """Hands a checked request to the log; None when it holds no record at all.

        :raises BodyError: the log is full
        """
        if not checked.records and not checked.rejected:
            return None
        try:
            return self.collector.take(checked, encoding, sender)
        except LogFull as error:
            raise BodyError(503, "log full", str(error)) from None
        except StoreUnavailable as error:
            raise BodyError(503, "closing", str(error)) from None

    def close(self) -> None:
        """Idempotent."""
        self._checkers.shutdown()
