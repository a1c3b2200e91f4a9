"""The way into the store: checked requests in, batches to the engine, what it refuses set aside."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from clew.errors import StoreError, StoreUnavailable
from clew.observe.store.prices import refresh_prices
from clew.observe.store.settle import settle
from clew.observe.store.store import Encoding, Store
from clew.wire.check import Checked, canonical_json, stamp_json, stamp_protobuf
from clew.wire.otlp import TRACES, Signal

BATCH_BYTES = 24 << 20
"""A batch is one insert. 16 MiB is some 20,000 agent spans: larger ones gain nothing and cost memory (measured by benchmarks/ingest.py)."""
IN_FLIGHT = 2
"""Batches that wait for the engine; the reader waits beyond that."""
SETTLE_EVERY = 1_000_000
"""Records between two settlements of a long intake. Merges rest in between, so that no conflict is merged away before it is counted."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line (JSON) or message (protobuf) that could not be taken in."""

    line: int
    """Counted from 1; for protobuf the number of the message."""
    reason: str


@dataclass(slots=True)
class _Batch:
    requests: list[tuple[int, Checked]] = field(default_factory=list)
    bytes: int = 0


class Intake:
    """Takes requests of one sender. Use as context manager: leaving it waits for the engine and settles what was touched.

    What add() was given is in the store when the block is left without an exception; after an exception some of it is, and giving the
    same requests again changes nothing.

    :param sender: what is recorded as the origin, such as a file's name
    """

    def __init__(self, store: Store, *, sender: str, stop: threading.Event | None = None) -> None:
        self.spans = 0
        self.logs = 0
        self.faults: list[Fault] = []
        self.faulty = 0
        self._store = store
        self._sender = sender
        self._stop = stop or threading.Event()
        self._arrival_ns = time.time_ns()
        self._batches: dict[tuple[Signal, Encoding], _Batch] = {}
        self._waiting: deque[Future[None]] = deque()
        self._unsettled = 0
        self._counting = threading.Lock()

    def __enter__(self) -> Intake:
        self._store.ingesting.acquire()
        self._merges("STOP")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush_all()
                self._settle()
            else:
                for future in self._waiting:
                    future.cancel()
                for future in self._waiting:
                    if not future.cancelled():
                        future.exception()
        finally:
            self._merges("START")
            self._store.compact()
            self._store.ingesting.release()

    @property
    def records(self) -> int:
        """Spans and log records handed to the engine so far."""
        return self.spans + self.logs

    def fault(self, line: int, reason: str) -> None:
        """Notes something that could not be taken in."""
        with self._counting:
            self.faulty += 1
            if len(self.faults) < 100:
                self.faults.append(Fault(line, reason))

    def add(self, line: int, checked: Checked, encoding: Encoding) -> None:
        """Takes one request; waits while the engine is behind.

        :raises StoreUnavailable: the store cannot be written
        """
        for reason in checked.rejected:
            self.fault(line, reason)
        batch = self._batches.setdefault((checked.signal, encoding), _Batch())
        batch.requests.append((line, checked))
        batch.bytes += len(checked.body)
        if batch.bytes >= BATCH_BYTES:
            self._flush(checked.signal, encoding)

    def _flush_all(self) -> None:
        for signal, encoding in list(self._batches):
            self._flush(signal, encoding)
        while self._waiting:
            self._waiting.popleft().result()

    def _flush(self, signal: Signal, encoding: Encoding) -> None:
        batch = self._batches.pop((signal, encoding))
        while len(self._waiting) >= IN_FLIGHT:
            self._waiting.popleft().result()
        if self._stop.is_set():
            raise StoreError("the import was stopped; what had arrived is kept, and running it again changes nothing of that")
        self._waiting.append(self._store.workers.submit(self._insert, signal, encoding, batch.requests))
        self._unsettled += sum(checked.records for _, checked in batch.requests)
        if self._unsettled >= SETTLE_EVERY:
            self._flush_all()
            self._settle()
            self._merges("START")
            self._merges("STOP")

    def _insert(self, signal: Signal, encoding: Encoding, requests: list[tuple[int, Checked]]) -> None:
        try:
            self._store.insert(signal, encoding, self._body(signal, encoding, requests))
        except StoreUnavailable:
            raise
        except StoreError as error:
            if len(requests) > 1:  # find the one at fault
                middle = len(requests) // 2
                self._insert(signal, encoding, requests[:middle])
                self._insert(signal, encoding, requests[middle:])
                return
            if not self._insert_canonical(requests[0], encoding):
                self._set_aside(requests[0], encoding, error)
                return
        with self._counting:
            count = sum(checked.records for _, checked in requests)
            if signal is TRACES:
                self.spans += count
            else:
                self.logs += count

    def _body(self, signal: Signal, encoding: Encoding, requests: list[tuple[int, Checked]]) -> bytes:
        """Concatenated requests are one request in protobuf; JSON requests stay lines. A later line of a file arrives later."""
        if encoding == "json":
            return b"\n".join(stamp_json(checked.body, self._arrival_ns + line, self._sender) for line, checked in requests)
        stamp = stamp_protobuf(signal, self._arrival_ns + requests[0][0], self._sender)
        return b"".join([*(checked.body for _, checked in requests), stamp])

    def _insert_canonical(self, request: tuple[int, Checked], encoding: Encoding) -> bool:
        line, checked = request
        if encoding != "json":
            return False
        canonical = Checked(checked.signal, canonical_json(checked), checked.records)
        try:
            self._store.insert(checked.signal, encoding, self._body(checked.signal, encoding, [(line, canonical)]))
        except StoreUnavailable:
            raise
        except StoreError:
            return False
        return True

    def _set_aside(self, request: tuple[int, Checked], encoding: Encoding, error: StoreError) -> None:
        line, checked = request
        folder = self._store.data_dir / "quarantine"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = f"{hashlib.sha256(checked.body).hexdigest()[:16]}.{'jsonl' if encoding == 'json' else 'pb'}"
        (folder / name).write_bytes(checked.body)
        (folder / f"{name}.error").write_text(
            json.dumps({"sender": self._sender, "line": line, "records": checked.records, "error": str(error)}) + "\n"
        )
        self.fault(line, f"refused by the engine and set aside as {folder / name}: {error}")

    def _settle(self) -> None:
        self._unsettled = 0
        settle(self._store)
        refresh_prices(self._store)

    def _merges(self, verb: Literal["STOP", "START"]) -> None:
        self._store.command(f"SYSTEM {verb} MERGES")
