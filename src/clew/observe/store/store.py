"""The store: one ClickHouse, embedded (chdb) in a data directory that one process owns."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from clew.cost.prices import PriceBook
from clew.errors import MissingExtra, StoreError, StoreUnavailable
from clew.observe.store import schema
from clew.observe.store.format import SCHEMA, Format, keep
from clew.observe.store.lock import Lock
from clew.observe.store.turns import Turns
from clew.observe.store.upgrade import UPGRADES
from clew.wire.otlp import Signal, proto_schema

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.query import QueryResult
    from numpy.typing import NDArray

COMPACT_ROWS = 100_000
"""A table of at most so many rows is merged at the end of an intake: some tenths of a second."""
REMOVAL_S = 5.0
"""Longest wait for the removal of replaced parts when the store is closed."""

Encoding = Literal["protobuf", "json"]
_FORMATS: dict[Encoding, str] = {"protobuf": "ProtobufSingle", "json": "JSONEachRow"}


@dataclass(frozen=True, slots=True)
class Stored:
    """A batch that is stored: its records arrived between these times, both included."""

    signal: str
    records: int
    first_ns: int
    last_ns: int


class Store:
    """An open store. Safe to use from several threads: each gets its own handle of the engine; close() ends them all.

    What is inserted survives kill -9 of the process from the moment insert() returns.
    """

    def __init__(self, data_dir: Path, lock: Lock, prices: Path | None) -> None:
        self.data_dir = data_dir
        self.prices = prices
        """Price override file, if any."""
        self.ingesting = Turns()
        """Held while records are inserted and settled."""
        self.on_stored: list[Callable[[Stored], None]] = []
        """Each is told of every batch of records once it is stored, in the thread that stored it: it must be quick, and not raise."""
        self._lock = lock
        # As a file: given as text, the engine would cache it in the working directory of whoever runs this.
        self._proto = data_dir / "otlp.proto"
        self._url = f"chdb://{(data_dir / 'store').as_posix()}"
        self._handles: list[Client] = []
        self._local = threading.local()
        self._made: dict[str, str] = {}
        self._making = threading.Lock()
        self._ready: set[str] = set()
        """Signals of schema.LATER that can be taken in."""
        self._written = False
        self._book: tuple[int, PriceBook] | None = None
        self.workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="clew-insert")
        """Threads that insert; two keep two cores busy."""
        self.readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="clew-read")
        """Threads for a second query beside a first; apart from those that insert, so that no question waits for an import."""

    @classmethod
    def open(cls, data_dir: Path, *, prices: Path | None = None, wait_s: float = 0.0) -> Store:
        """Opens (creating and migrating if needed) the embedded store of ``data_dir`` and takes its lock.

        :param prices: price override file; default: ``prices.toml`` in the data directory, if it exists
        :param wait_s: how long to wait for a process that owns the directory
        :raises StoreBusy: another process owns it; the message names the process
        :raises StoreNewer: it was written by a newer version
        :raises StoreUnavailable: disk, permissions or damage, with the path and the reason
        """
        data_dir = data_dir.expanduser().resolve()
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = Lock.take(data_dir / "store.lock", wait_s=wait_s)
        except OSError as error:
            raise StoreUnavailable(f"data directory {data_dir} cannot be used: {error.strerror}; choose another with --data-dir") from None
        try:
            found = Format.read(data_dir)
            default = data_dir / "prices.toml"
            store = cls(data_dir, lock, prices or (default if default.exists() else None))
            try:
                store._migrate(found)
            except BaseException:
                store.close()
                raise
        except BaseException:
            lock.release()
            raise
        return store

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends every handle and gives the lock back. Idempotent."""
        self.workers.shutdown()
        self.readers.shutdown()
        if self._written:
            self._written = False
            self._remove_replaced()
        handles, self._handles = self._handles, []
        for handle in handles:
            with suppress(Exception):
                handle.close()
        self._local = threading.local()
        self._lock.release()

    def describe(self, **more: Any) -> None:
        """Adds to the note on who owns the data directory, which a second process is shown."""
        self._lock.describe(**more)

    def client(self) -> Client:
        """This thread's handle of the engine."""
        handle: Client | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = _connect(self._url, self.data_dir)
            self._local.handle = handle
            self._handles.append(handle)
        return handle

    def insert(self, signal: Signal, encoding: Encoding, body: bytes) -> None:
        """Hands OTLP requests to the engine: concatenated protobuf messages, or JSON lines. They must have been checked.

        All of ``body`` is stored when this returns, or none of it counts: repeating it changes nothing.

        :raises StoreError: the engine refuses; the message is its own
        """
        settings = dict(_INSERT_SETTINGS)
        if encoding == "protobuf":
            settings["format_schema"] = f"{self._proto}:{signal.request}"
        with engine_errors():
            if signal in schema.LATER:
                self._make_way_for(signal)
            self.client().raw_insert(f"landing_{signal.name}_{encoding}", insert_block=body, fmt=_FORMATS[encoding], settings=settings)

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Inserts rows into one of our own small tables."""
        if rows:
            with engine_errors():
                self.client().insert(table, rows, column_names=list(columns))

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Runs a statement that gives nothing back."""
        with engine_errors():
            self.client().command(sql, parameters=dict(parameters or {}))

    def query(self, sql: str, parameters: Mapping[str, Any] | None = None, *, settings: Mapping[str, Any] | None = None) -> QueryResult:
        """Runs a SELECT. ``{name:Type}`` in it takes the parameter's value, bound by the engine."""
        with engine_errors():
            return self.client().query(sql, parameters=dict(parameters or {}), settings=dict(settings or {}))

    def value(self, sql: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The one value of a SELECT of one row and column."""
        return self.query(sql, parameters).result_rows[0][0]

    def pairs(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[Any, Any]:
        """A SELECT of two columns as a dict."""
        return dict(map(tuple, self.query(sql, parameters).result_rows))

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Rows of a SELECT as dicts."""
        return list(self.query(sql, parameters).named_results())

    def compact(self) -> None:
        """Merges what is small enough to be merged at once; the rest is merged in the background while the store is open."""
        self._written = True
        for table, rows, parts in self.query(
            "SELECT table, sum(rows), count() FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
        ).result_rows:
            if parts > 1 and rows <= COMPACT_ROWS:
                self.command(f"OPTIMIZE TABLE {table} FINAL")

    def _remove_replaced(self) -> None:
        """Removes the parts that merges have replaced. Left to itself the engine may take minutes, and a store closed before keeps them."""
        deadline = time.monotonic() + REMOVAL_S
        while time.monotonic() < deadline:
            tables = self.query("SELECT DISTINCT table FROM system.parts WHERE NOT active AND database = currentDatabase()").result_rows
            if not tables:
                return
            for (table,) in tables:
                self.command(f"SYSTEM START CLEANUP {table}")
            time.sleep(0.05)

    @contextmanager
    def read_only(self, limits: Mapping[str, Any]) -> Iterator[Client]:
        """A handle of its own for a user's query, with these engine settings. The engine refuses what writes, reads files or opens
        connections, and any change of a setting: ``readonly`` cannot be taken back, so the handle is not used again."""
        with engine_errors():
            client = _connect(self._url, self.data_dir)
            try:
                for name, value in limits.items():
                    client.command(f"SET {name} = '{value}'")
                client.command("SET readonly = 1")
                yield client
            finally:
                client.close()

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]]:
        """Columns of a SELECT of numbers, as arrays."""
        with engine_errors():
            found = self.client().query_np(sql, parameters=dict(parameters or {}))
        return {name: found[name] for name in found.dtype.names or ()}

    def insert_columns(self, table: str, names: Sequence[str], columns: Sequence[Any]) -> None:
        """Inserts columns of equal length into one of our own tables."""
        if len(columns[0]):
            with engine_errors():
                self.client().insert(table, [list(column) for column in columns], column_names=list(names), column_oriented=True)

    def price_book(self) -> PriceBook:
        """The prices in force: genai-prices and the override file, read anew when the file has changed.

        :raises PriceError: the override file cannot be used
        """
        stamp = self.prices.stat().st_mtime_ns if self.prices and self.prices.exists() else 0
        if self._book is None or self._book[0] != stamp:
            self._book = (stamp, PriceBook(self.prices))
        return self._book[1]

    def _migrate(self, found: Format) -> None:
        """Makes what is missing and replaces what has changed. What has been done is noted at the end, and doing it again changes nothing."""
        upgrades = [UPGRADES[version] for version in range(found.schema + 1, SCHEMA + 1) if version in UPGRADES]
        self._made = found.made
        with engine_errors():
            client = self.client()
            for before, _ in upgrades:
                before(client)
            self._make(file for file in schema.files() if file.name in found.made or not any(map(file.takes_in, schema.LATER)))
            for _, after in upgrades:
                after(client)
        keep(self._proto, proto_schema())
        Format(made=self._made).write(self.data_dir)

    def _make(self, files: Iterable[schema.File]) -> None:
        changed = [file for file in files if self._made.get(file.name) != file.digest]
        for file in changed:
            for statement in file.statements:
                self.client().command(statement)
        self._made = {**self._made, **{file.name: file.digest for file in changed}}

    def _make_way_for(self, signal: Signal) -> None:
        with self._making:
            if signal.name not in self._ready:
                self._make(file for file in schema.files() if file.takes_in(signal))
                Format(made=self._made).write(self.data_dir)
                self._ready.add(signal.name)


_INSERT_SETTINGS: dict[str, Any] = {
    "input_format_null_as_default": 1,
    "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
    "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
    "input_format_skip_unknown_fields": 1,
    "max_insert_block_size": 1_000_000,
}


def _connect(url: str, data_dir: Path) -> Client:
    try:
        import chdb  # noqa: F401 - named in the error below when it is missing
        import clickhouse_connect
    except ImportError as error:
        raise MissingExtra("The store", error.name or "chdb", "server") from None
    try:
        return clickhouse_connect.get_client(dsn=url)
    except Exception as error:
        free = shutil.disk_usage(data_dir).free
        raise StoreUnavailable(
            f"{data_dir} cannot be opened ({free >> 20} MiB free, writable: {os.access(data_dir, os.W_OK)}): {_first_line(error)}"
        ) from None


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:1000]


_UNAVAILABLE = (
    *("NOT_ENOUGH_SPACE", "No space left", "Read-only file system", "File too large", "errno: 5", "errno: 27", "errno: 28", "errno: 30"),
    *("CANNOT_WRITE_TO_FILE_DESCRIPTOR", "CANNOT_OPEN_FILE", "CANNOT_FSYNC", "CANNOT_CREATE_DIRECTORY", "TABLE_IS_READ_ONLY"),
    *("TOO_MANY_PARTS", "QUERY_WAS_CANCELLED", "ABORTED"),
)
"""What the engine says when the fault is not with the records: the same insert may well succeed later."""


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turns the engine's exceptions into StoreError, disk trouble into StoreUnavailable."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        from clickhouse_connect.driver.exceptions import ClickHouseError

        if not isinstance(error, ClickHouseError | RuntimeError | ValueError):
            raise
        text = _first_line(error)
        if any(sign in str(error) for sign in _UNAVAILABLE):
            raise StoreUnavailable(
                f"the store cannot be written: {text}; free some space, then run it again: nothing is taken twice"
            ) from None
        raise StoreError(text) from None
