"""What the owner of the store does for a client: one table of named operations. Nothing else can be asked of it."""

from __future__ import annotations

import io
import os
import select
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar, cast

from clew import settings
from clew.cli.frames import is_closed
from clew.errors import StoreError
from clew.observe.ingest import backup, batch, files, spool
from clew.observe.ingest.collector import Collector, Stats, account_of, stats_of
from clew.observe.ingest.deletion import delete
from clew.observe.ingest.quarantine import Kept
from clew.observe.query import bundle, costs, health, history, oddities, runs, search, selection, sql, traces
from clew.observe.query.errors import detail, groups
from clew.observe.store import retention
from clew.observe.store.deletion import Deleted
from clew.observe.store.store import Store

T = TypeVar("T")


class Cancelled(StoreError):
    """The client has gone, or the owner was asked to stop, while an import was under way."""


@dataclass(slots=True)
class Call:
    """One request as the owner serves it: the open store, who asked, and the file that came with it."""

    store: Store
    connection: socket.socket
    stopping: threading.Event
    report: Callable[[int, int, int], None]
    descriptors: list[int] = field(default_factory=list)
    collector: Collector | None = None
    """Of a server."""

    def check(self) -> None:
        """:raises Cancelled: there is no reason to go on"""
        if self.stopping.is_set():
            raise Cancelled("the store's owner was asked to stop; what was read so far is stored, and importing again is safe")
        if is_closed(self.connection):
            raise Cancelled("the client has gone")


@dataclass(frozen=True, slots=True)
class Operation(Generic[T]):
    """``serve`` gets the call and the arguments of the request; ``result`` is the type that the client gives back."""

    name: str
    serve: Callable[..., T]
    result: Any


def _of_store(function: Callable[..., T]) -> Callable[..., T]:
    def serve(call: Call, **arguments: Any) -> T:
        return function(call.store, **arguments)

    return serve


IMPORT_WAIT_S = 1.0
"""How long a reader waits for an import that is under way before it reads what is there."""


def _sweep(call: Call) -> spool.Swept | None:
    """None when an import is under way: it holds the way in until its end."""
    if not call.store.ingesting.acquire(timeout=IMPORT_WAIT_S):
        return None
    try:
        return spool.sweep(call.store, compact=call.collector is None)
    finally:
        call.store.ingesting.release()


class _Handed(io.RawIOBase):
    """A pipe that the client handed over, read only as long as the client is there: its writer may outlive it."""

    def __init__(self, descriptor: int, call: Call) -> None:
        self._descriptor = descriptor
        self._call = call

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def readinto(self, buffer: Any) -> int:
        while True:
            ready, _, _ = select.select([self._descriptor, self._call.connection.fileno()], [], [], 1.0)
            self._call.check()
            if self._descriptor in ready:
                return os.readv(self._descriptor, [buffer])


def _import(call: Call, *, name: str, path: bytes) -> files.Taken:
    """Takes in the file that came with the request; a regular one by its path, so that it can be read at the engine's speed."""
    if len(call.descriptors) != 1:
        raise StoreError("the file to import did not arrive")
    descriptor = call.descriptors[0]

    def progress(done: int, size: int, records: int) -> None:
        call.check()
        call.report(done, size, records)

    source: Path | BinaryIO
    if stat.S_ISREG(os.fstat(descriptor).st_mode) and path:
        source = Path(os.fsdecode(path))
    else:
        source = cast(BinaryIO, io.BufferedReader(_Handed(descriptor, call), 1 << 20))
    return files.import_file(call.store, source, name=name, progress=progress)


def _export(call: Call, *, run_id: str) -> bundle.Exported:
    """Writes the run to the file that came with the request."""
    if len(call.descriptors) != 1:
        raise StoreError("the file to write did not arrive")
    with os.fdopen(os.dup(call.descriptors[0]), "wb") as out:
        return bundle.export(call.store, run_id, out)


def _retry(call: Call, *, names: list[str]) -> list[batch.Retried]:
    if call.collector is not None:
        return batch.retry(call.store, names, call.collector.note_retried)
    account = account_of(call.store)

    def note(item: Kept) -> None:
        if item.collected:
            account.note_retried(item.signal, item.sender, item.records)
            account.keep()

    return batch.retry(call.store, names, note)


def _collected(call: Call) -> Stats:
    """The collector's account, also where no server runs: then what waits in the log is left out, since only a server drains it."""
    if call.collector is not None:
        return call.collector.stats()
    return stats_of(account_of(call.store), call.store)


@contextmanager
def _collecting(call: Call) -> Iterator[Collector]:
    """The server's collector; where no server runs, one that stores what an earlier server's log holds."""
    if call.collector is not None:
        yield call.collector
        return
    collector = Collector(call.store, log_bytes=settings.get("log_bytes"))
    collector.start()
    try:
        yield collector
    finally:
        collector.close()


def _delete(call: Call, *, what: str, name: str, dry_run: bool) -> Deleted:
    choose = {"run": selection.by_id, "session": selection.by_session, "filter": selection.by_filter}[what]
    _sweep(call)
    with _collecting(call) as collector:
        return delete(call.store, lambda store: choose(store, name), collector, dry_run=dry_run)


def _prune(call: Call, *, dry_run: bool) -> retention.Pruned:
    return retention.prune(call.store, retention.Keep.of_settings(), dry_run=dry_run)


def _backup(call: Call, *, target: bytes) -> backup.BackedUp:
    def progress(done: int, size: int, files: int) -> None:
        call.check()
        call.report(done, size, files)

    with _collecting(call) as collector:
        return backup.backup(call.store, Path(os.fsdecode(target)), collector, progress)


SWEEP = Operation("sweep", _sweep, spool.Swept | None)
IMPORT = Operation("import", _import, files.Taken)
EXPORT = Operation("export", _export, bundle.Exported)
RUNS = Operation("runs", _of_store(runs.runs), list[runs.Run])
TRACE = Operation("trace", _of_store(traces.trace), traces.Trace)
CONTENTS = Operation("contents", _of_store(traces.contents), dict[str, str])
ATTRIBUTES = Operation("attributes", _of_store(traces.span_attributes), dict[str, Any])
ODDITIES = Operation("oddities", _of_store(oddities.oddities), oddities.Oddities)
HISTORY = Operation("history", _of_store(history.history), history.Past | None)
SEARCH = Operation("search", _of_store(search.search), search.Hits)
ERRORS = Operation("errors", _of_store(groups.errors), groups.Errors)
ERROR = Operation("error", _of_store(detail.detail), detail.ErrorDetail)
COSTS = Operation("costs", _of_store(costs.costs), costs.Costs)
SQL = Operation("sql", _of_store(sql.sql), sql.Table)
DELETE = Operation("delete", _delete, Deleted)
PRUNE = Operation("prune", _prune, retention.Pruned)
BACKUP = Operation("backup", _backup, backup.BackedUp)
RETRY = Operation("retry", _retry, list[batch.Retried])
COLLECTED = Operation("collected", _collected, Stats)
HEALTH = Operation("health", _of_store(health.health), health.Health)

TABLE: dict[str, Operation[Any]] = {
    operation.name: operation
    for operation in (
        SWEEP,
        IMPORT,
        EXPORT,
        RUNS,
        TRACE,
        CONTENTS,
        ATTRIBUTES,
        ODDITIES,
        HISTORY,
        SEARCH,
        ERRORS,
        ERROR,
        COSTS,
        SQL,
        DELETE,
        PRUNE,
        BACKUP,
        RETRY,
        COLLECTED,
        HEALTH,
    )
}
