"""The way into the store: checked requests in, batches to the engine, what it refuses set aside."""

from __future__ import annotations

import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field

from clew.errors import StoreError
from clew.observe.ingest.batch import Batch, Numbered
from clew.observe.store import merges, rollups, sketches
from clew.observe.store.engine import Encoding
from clew.observe.store.prices import refresh_prices
from clew.observe.store.settle import settle
from clew.observe.store.store import Store
from clew.wire.check import Checked
from clew.wire.otlp import SIGNALS, Signal

BATCH_BYTES = 24 << 20
"""A batch is one insert. 16 MiB is some 20,000 agent spans: larger ones gain nothing and cost memory (measured by benchmarks/ingest.py)."""
IN_FLIGHT = 2
"""Batches that wait for the engine; the reader waits beyond that."""
SETTLE_EVERY = 1_000_000
"""Records between two settlements of a long intake. Merges rest in between, so that no conflict is merged away before it is counted."""
TURN_S = 1.0
"""Shortest turn of a long intake while others wait for theirs; settling between turns takes some tenths of a second."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One line (JSON) or message (protobuf) that could not be taken in."""

    line: int
    """Counted from 1; for protobuf the number of the message."""
    reason: str


@dataclass(slots=True)
class _Batch:
    requests: list[Numbered] = field(default_factory=list)
    bytes: int = 0


class Intake:
    """Takes requests of one sender. Use as context manager: leaving it waits for the engine and settles what was touched.

    What add() was given is in the store when the block is left without an exception; after an exception some of it is, and giving the
    same requests again changes nothing.

    :param sender: what is recorded as the origin, such as a file's name
    :param compact: merge small tables at once, for an owner that will not stay
    """

    def __init__(self, store: Store, *, sender: str, stop: threading.Event | None = None, compact: bool = True) -> None:
        self.stored = dict.fromkeys((signal.name for signal in SIGNALS), 0)
        """Records that the engine has taken, by signal."""
        self.faults: list[Fault] = []
        self.faulty = 0
        self._store = store
        self._sender = sender
        self._stop = stop or threading.Event()
        self._arrival_ns = time.time_ns()
        self._batches: dict[tuple[Signal, Encoding], _Batch] = {}
        self._waiting: deque[Future[None]] = deque()
        self._unsettled = 0
        self._compact = compact
        self._held = False
        self._since = time.monotonic()
        self._counting = threading.Lock()

    def __enter__(self) -> Intake:
        self._store.ingesting.acquire()
        self._held = merges.hold(self._store)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._flush_all()
                self._settle()
                sketches.refresh(self._store)
            else:
                for future in self._waiting:
                    future.cancel()
                for future in self._waiting:
                    if not future.cancelled():
                        future.exception()
        finally:
            self._let_go()
            if self._compact:
                self._store.compact()
            self._store.ingesting.release()
        if kind is None:
            rollups.roll(self._store)

    @property
    def records(self) -> int:
        """Records handed to the engine so far."""
        return sum(self.stored.values())

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
        # A later line of a file arrives later.
        batch.requests.append(Numbered(line, self._arrival_ns + line, checked))
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
        whole = Batch(signal, encoding, self._sender, batch.requests)
        self._waiting.append(self._store.workers.submit(self._insert, whole))
        self._unsettled += whole.records
        if self._unsettled >= SETTLE_EVERY or (self._store.ingesting.is_wanted and time.monotonic() - self._since >= TURN_S):
            self._pause()

    def _insert(self, batch: Batch) -> None:
        refused = batch.insert(self._store)
        for one in refused:
            self.fault(one.line, one.reason)
        with self._counting:
            self.stored[batch.signal.name] += batch.records - sum(one.records for one in refused)

    def _settle(self) -> None:
        self._unsettled = 0
        settle(self._store)
        refresh_prices(self._store)

    def _pause(self) -> None:
        """Settles, and lets whoever waits for the way in have a turn."""
        self._flush_all()
        self._settle()
        self._since = time.monotonic()
        if not self._store.ingesting.is_wanted:
            if self._held and merges.overdue(self._store):
                self._let_go()
            return
        self._let_go()
        self._store.ingesting.release()
        self._store.ingesting.acquire()
        self._held = merges.hold(self._store)

    def _let_go(self) -> None:
        if self._held:
            self._held = False
            merges.let_go(self._store)
