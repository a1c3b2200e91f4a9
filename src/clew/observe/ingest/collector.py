"""The collector: takes checked requests into the write-ahead log, and drains the log into the store.

A request is acknowledged when it is in the log, on disk. One thread drains: it reads the log in order, inserts in the store's two worker
threads, has the traces that were touched settled, beside the inserts where these go on, and notes how far it has come. What it has come past is deleted from the log only after the
file system was synced, so that a power cut finds each record in the log or in the store.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from clew.errors import StoreError, StoreUnavailable
from clew.observe.ingest import quarantine
from clew.observe.ingest.account import Account, Line, State
from clew.observe.ingest.batch import Batch, Numbered, Refused
from clew.observe.ingest.wal import Frame, Log, Position
from clew.observe.store import merges, retention, rollups, sketches, totals
from clew.observe.store.engine import Encoding
from clew.observe.store.prices import refresh_prices
from clew.observe.store.removed import removed
from clew.observe.store.retention import Retention
from clew.observe.store.settle import Touched
from clew.observe.store.store import Store
from clew.wire.check import Checked

BATCH_BYTES = 48 << 20
"""Read from the log at once, and inserted at once when it is of one sender, signal and encoding. To prepare an insert takes the engine as
long as some 4,000 spans do."""
IN_FLIGHT = 3
"""Batches between the log and the engine: two that are inserted, and the next one read."""
GATHER_S = 0.5
"""How long requests wait for others, unless they fill a batch, so that many small ones become one insert."""
FULL_BYTES = 12 << 20
"""What waits in the log from which on the load is full: 24 MiB a second, as it gathers for GATHER_S."""
SETTLE_S = 3.0
"""Time between two settlements, and longest turn of inserting when others wait for theirs, or metrics are kept."""
TURN_S = 30.0
"""Longest turn of inserting when nobody does."""
TEND_S = 10.0
"""The same within a turn, and under full load: what arrives then is there with the first question, and settled a little later."""
ROLL_S = 2.0
"""Longest time that is spent on rollups at a stretch, and the pause before the next."""
MANY_MINUTES = 500
"""Minutes without rollups beyond which the log says how many there are: a store that just became large, or a large import."""
CHECKPOINT_S = 3.0
"""Time between two syncs of the file system, while records come in. What lies before the last one makes room in the log."""
INDEX_S = 1.0
"""Time between two looks whether the merges are done that index what came in under full load."""
STORED_S = 60.0
"""Longest wait for what is in the log, where something is to be done with all that was acknowledged."""
RETRY_S = 1.0
"""Pause after the store refused for want of space and the like."""

log = logging.getLogger("clew.collector")


@dataclass(frozen=True, slots=True)
class Stats:
    """What came in and what became of it. For each line: received = stored + sum(rejected) + waiting; ``gap`` is 0, or that is not so."""

    lines: list[Line]
    received: int
    stored: int
    rejected: dict[str, int]
    cut: dict[str, int]
    """What stored records are without, beyond the limits of one record: attributes, events, links left out, and values cut."""
    waiting: int
    gap: int
    refused_requests: dict[str, int]
    """Requests that were answered with an error, by reason; their senders keep them."""
    log_bytes: int
    log_limit_bytes: int
    settled: bool
    """Whether the settler has seen every trace that received spans."""
    trouble: str | None
    """Why the store does not take in what waits, when it does not."""
    removed: dict[str, dict[str, int]]
    """What was taken out of the store again: signal -> reason (expired, over the size cap, deleted) -> records. Not part of the sum above."""
    retention: Retention | None
    """How long what is kept."""


class _Inserting(NamedTuple):
    frames: list[Frame]
    inserts: list[tuple[Batch, Future[list[Refused]]]]
    end: Position


class Collector:
    """Collects into an open store. It owns the log in the data directory, and one thread, from start() to close()."""

    def __init__(self, store: Store, *, log_bytes: int) -> None:
        """:raises StoreUnavailable: the log or the account cannot be opened"""
        self._store = store
        folder = store.data_dir / "wal"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            self._account = Account(folder / "account.json")
            self._log = Log(folder, limit_bytes=log_bytes, after=self._account.position, noted=self._account.note_received)
        except OSError as error:
            raise StoreUnavailable(f"the collector's log {folder} cannot be used: {error.strerror}") from None
        self._account.note_received(self._log.recovered)
        if self._log.recovered:
            log.info("%d requests were in the log and go into the store now", len(self._log.recovered))
        self._log.recovered.clear()
        for damage in self._log.damages:
            path = quarantine.set_damage_aside(store.data_dir, damage.segment, damage.bytes, damage.reason)
            log.error("%s: %s; the bytes are kept as %s", damage.segment, damage.reason, path)
        self._done = self._account.position
        self._saved_at = time.monotonic()
        self._settled_at = 0.0
        self._rolled_at = 0.0
        self._unsettled = True
        """Whether traces may have been touched since they were last settled; a collector that was killed may have left some."""
        self._held = False
        self._unindexed = store.engine.is_own
        """Whether there may be something that is not indexed: so at the start, and from what comes in haste on."""
        self._trouble: str | None = None
        self._closing = threading.Event()
        self._moved = threading.Condition()
        self._keeping = threading.Lock()
        self._beside = ThreadPoolExecutor(max_workers=1, thread_name_prefix="clew-settle")
        self._drainer = threading.Thread(target=self._drain, name="clew-collector", daemon=True)

    def start(self) -> None:
        """Begins to drain. Requests can be taken before that."""
        self._drainer.start()

    def take(self, checked: Checked, encoding: Encoding, sender: str) -> Future[None]:
        """Takes a checked request; the result is there once it is durable. May be called from any thread.

        :raises LogFull: there is no room at the moment
        The future raises StoreUnavailable when the disk refuses.
        """
        rejected: dict[str, int] = {"bad ids": len(checked.rejected)} if checked.rejected else {}
        body = checked.body if checked.records else b""
        return self._log.append(checked.signal.name, encoding, sender, checked.records, body, rejected, checked.cut)

    def refuse(self, reason: str) -> None:
        """Counts a request that was answered with an error."""
        self._account.note_refused_request(reason)

    def stats(self) -> Stats:
        return stats_of(
            self._account,
            self._store,
            log_bytes=self._log.bytes,
            log_limit_bytes=self._log.limit_bytes,
            settled=not self._unsettled,
            trouble=self._trouble,
        )

    def note_retried(self, item: quarantine.Kept) -> None:
        """A request of the quarantine is stored after all."""
        if item.collected:
            self._account.note_retried(item.signal, item.sender, item.records)

    def wait_until_stored(self, timeout_s: float = STORED_S) -> None:
        """Waits until all that was acknowledged before this call is in the store.

        :raises StoreUnavailable: it is not, after ``timeout_s``; it stays in the log
        """
        end = self._log.end()
        with self._moved:
            if not self._moved.wait_for(lambda: self._done >= end or end.offset == 0, timeout_s):
                why = f": {self._trouble}" if self._trouble else ""
                raise StoreUnavailable(
                    f"what waits in the collector's log is not stored after {timeout_s:.0f} s{why}; run this again later"
                )

    def checkpoint(self) -> None:
        """Brings the account on disk up to date, and deletes from the log what is stored. Call it only while holding ``store.ingesting``.

        :raises OSError: the disk refuses; the earlier account holds
        """
        self._checkpoint(self._account.state(self._done))

    def close(self) -> None:
        """Takes nothing more, stores what waits (unless the store refuses: it stays in the log), and ends. Idempotent."""
        if self._closing.is_set():
            return
        self._log.close()  # first, so that the drainer finds all that was taken
        self._closing.set()
        if self._drainer.ident is not None:
            self._drainer.join()
        self._beside.shutdown()
        with suppress(OSError):  # a full disk: the earlier account holds, and what came after is in the log
            self.checkpoint()

    # --- draining -------------------------------------------------------------------------------------------------------------------------

    def _drain(self) -> None:
        while True:
            try:
                closing = self._closing.is_set()
                if self._log.unread_bytes():
                    if not closing:
                        self._log.wait(BATCH_BYTES, GATHER_S)
                    with self._store.ingesting:
                        self._take_in()
                # Others may have put in what is to be settled here.
                shared = self._store.engine.placement.is_shared and self._store.engine.settles and not closing
                pause = TEND_S if self._is_full() else SETTLE_S
                if (self._unsettled or shared) and (closing or time.monotonic() - self._settled_at >= pause):
                    with self._store.ingesting:
                        self._settle_all()
                self._roll_when_due()
                self._index_when_quiet()
                self._trouble = None
                with self._store.ingesting:
                    if sketches.is_due(self._store) and not closing:
                        sketches.refresh(self._store)
                    self._checkpoint_when_due()
                if closing and not self._log.unread_bytes() and not self._unsettled:
                    return
            except Exception as error:
                self._trouble = str(error) or type(error).__name__
                if isinstance(error, StoreError | OSError):
                    log.warning("the store does not take in what waits: %s", error)
                else:
                    log.exception("the collector failed")
                if self._closing.is_set():
                    return  # it is in the log, for the next time
                self._closing.wait(RETRY_S)
                continue
            if not self._log.unread_bytes() and not self._closing.is_set():
                self._log.wait(1, self._patience())

    def _patience(self) -> float | None:
        """Seconds until there is something to do though nothing comes in; None when there is not."""
        if self._unsettled or (self._store.engine.placement.is_shared and self._store.engine.settles):
            return max(self._settled_at + SETTLE_S - time.monotonic(), 0.0)
        if self._store.has_stale:
            return max(self._rolled_at + ROLL_S - time.monotonic(), 0.0)
        if self._done > self._account.position:
            return max(self._saved_at + CHECKPOINT_S - time.monotonic(), 0.0)
        if self._unindexed:
            return INDEX_S
        return None

    def _is_full(self) -> bool:
        return self._log.unread_bytes() >= FULL_BYTES

    def _take_in(self) -> None:
        """Inserts what waits, until it is less than a batch or the turn is over."""
        began = time.monotonic()
        self._unsettled = True
        inserting: deque[_Inserting] = deque()
        tending: Future[None] | None = None
        try:
            while frames := self._log.next(BATCH_BYTES):
                self._held = self._held or merges.hold(self._store)
                inserting.append(self._insert(frames))
                if len(inserting) >= IN_FLIGHT:
                    self._finish(inserting)
                now = time.monotonic()
                is_short = self._store.ingesting.is_wanted or not self._settles_beside()
                if self._log.unread_bytes() < BATCH_BYTES or now >= began + (SETTLE_S if is_short else TURN_S):
                    break
                if tending is not None and tending.done():
                    tending.result()
                    tending = None
                tending = tending or self._tend(inserting)
            while inserting:
                self._finish(inserting)
            if tending is not None:
                tending.result()
        except BaseException:
            for future in [future for one in inserting for _, future in one.inserts] + ([tending] if tending else []):
                future.cancel()
                with suppress(BaseException):
                    future.result()
            self._log.rewind(self._done)
            raise

    def _tend(self, inserting: Iterable[_Inserting]) -> Future[None] | None:
        """Where it is time: settles what has arrived until now, and keeps the account, beside the inserts that go on."""
        state = self._account.state(self._done) if self._checkpoint_is_due() else None
        is_due = self._settles_beside() and time.monotonic() - self._settled_at >= TEND_S
        touched = Touched.now(self._store) if is_due else None
        begun = [future for one in inserting for _, future in one.inserts]

        def tend() -> None:
            if state is not None:
                self._keep(state)
            if touched is not None:
                wait(begun)
                self._settle(touched)

        return self._beside.submit(tend) if state or touched else None

    def _settles_beside(self) -> bool:
        """Not where metrics are kept: what is inserted between counting spans and noting them as counted would never be counted."""
        return totals.of(self._store) is None

    def _settle(self, touched: Touched) -> None:
        touched.settle()
        refresh_prices(self._store)
        self._settled_at = time.monotonic()

    def _settle_all(self) -> None:
        self._settle(Touched.alone(self._store))
        self._unsettled = False
        if self._held and (not self._is_full() or merges.overdue(self._store)):
            # Under full load merges wait: they cost half as much again as the inserts, and a burst is over sooner without them.
            self._held = False
            merges.let_go(self._store)

    def _roll_when_due(self) -> None:
        if self._store.has_stale and not self._closing.is_set() and time.monotonic() - self._rolled_at >= ROLL_S:
            rollups.roll(self._store, most_s=ROLL_S, stop=lambda: self._closing.is_set() or self._log.unread_bytes() >= BATCH_BYTES)
            self._rolled_at = time.monotonic()
            left = rollups.progress(self._store)
            if left is not None and left.stale > MANY_MINUTES:
                log.info(
                    "rollups: %d of %d minutes are written; the others are read from spans until they are",
                    left.minutes - left.stale,
                    left.minutes,
                )

    def _index_when_quiet(self) -> None:
        """Once merges have indexed most of what came in haste, has the rest indexed."""
        is_busy = self._held or self._unsettled or self._log.unread_bytes() or self._closing.is_set()
        if self._unindexed and not is_busy and not merges.running(self._store):
            merges.index_left(self._store)
            self._unindexed = False

    def _insert(self, frames: list[Frame]) -> _Inserting:
        waited = sum(len(frame.body) for frame in frames) + self._log.unread_bytes()
        in_haste = self._store.engine.is_own and waited >= FULL_BYTES
        self._unindexed = self._unindexed or in_haste
        inserts = [(batch, self._store.workers.submit(batch.insert, self._store)) for batch in _batches(frames, in_haste=in_haste)]
        return _Inserting(frames, inserts, frames[-1].end)

    def _finish(self, inserting: deque[_Inserting]) -> None:
        one = inserting[0]
        refused = [(batch.signal.name, batch.sender, item.records) for batch, future in one.inserts for item in future.result()]
        inserting.popleft()
        self._account.note_done([frame.head for frame in one.frames], refused)
        with self._moved:
            self._done = one.end
            self._moved.notify_all()
        for _, _, records in refused:
            log.error("the engine refused %d records; they are set aside: clew retry tries them again", records)

    def _checkpoint_when_due(self) -> None:
        """Only in a turn of inserting, since others checkpoint in theirs."""
        if self._checkpoint_is_due():
            self._keep(self._account.state(self._done))

    def _checkpoint_is_due(self) -> bool:
        return self._done > self._account.position and time.monotonic() - self._saved_at >= CHECKPOINT_S

    def _keep(self, state: State) -> None:
        try:
            self._checkpoint(state)
        except OSError as error:
            log.warning("the collector's account cannot be written: %s; what is stored stays in the log until it can", error)
            self._saved_at = time.monotonic()

    def _checkpoint(self, state: State) -> None:
        with self._keeping:
            if state.position >= self._account.position:  # a newer one may have been kept since this one was taken
                if self._store.engine.is_own:
                    sync_file_system(self._store.data_dir)
                self._account.save(state)
                self._log.forget(state.position)
            self._saved_at = time.monotonic()


def stats_of(
    account: Account, store: Store, *, log_bytes: int = 0, log_limit_bytes: int = 0, settled: bool = True, trouble: str | None = None
) -> Stats:
    """The figures of an account."""
    lines = account.lines()
    rejected: Counter[str] = Counter()
    cut: Counter[str] = Counter()
    for line in lines:
        rejected.update(line.rejected)
        cut.update(line.cut)
    received, stored, waiting = (sum(getattr(line, name) for line in lines) for name in ("received", "stored", "waiting"))
    return Stats(
        lines=lines,
        received=received,
        stored=stored,
        rejected=dict(sorted(rejected.items())),
        cut=dict(sorted(cut.items())),
        waiting=waiting,
        gap=received - stored - sum(rejected.values()) - waiting,
        refused_requests=account.refused_requests(),
        log_bytes=log_bytes,
        log_limit_bytes=log_limit_bytes,
        settled=settled,
        trouble=trouble,
        removed=removed(store.data_dir).records,
        retention=retention.state(store.data_dir, retention.Keep.of_settings()),
    )


def account_of(store: Store) -> Account:
    """The account in the data directory of a store that no collector is working for.

    :raises StoreUnavailable: it is damaged
    """
    return Account(store.data_dir / "wal" / "account.json")


def _batches(frames: Sequence[Frame], *, in_haste: bool) -> list[Batch]:
    """Frames as batches of one signal, encoding and sender each; frames without records are in none."""
    found: dict[tuple[str, Encoding, str], list[Numbered]] = {}
    for frame in frames:
        head = frame.head
        if head.records:
            checked = Checked(quarantine.signal_named(head.signal), frame.body, head.records)
            found.setdefault((head.signal, head.encoding, head.sender), []).append(Numbered(0, head.arrival_ns, checked))
    return [
        Batch(quarantine.signal_named(signal), encoding, sender, requests, collected=True, in_haste=in_haste)
        for (signal, encoding, sender), requests in found.items()
    ]


def sync_file_system(folder: os.PathLike[str]) -> None:
    """Everything written to the file system of ``folder`` is on disk when this returns."""
    try:
        syncfs = ctypes.CDLL(None, use_errno=True).syncfs
    except (OSError, AttributeError):  # only Linux has it
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    finally:
        os.close(descriptor)
