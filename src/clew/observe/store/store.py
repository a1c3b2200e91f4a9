"""The store: one ClickHouse, embedded in a data directory that one process owns, or remote (engine.py)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from clew import settings
from clew.cost.prices import PriceBook
from clew.errors import StoreError, StoreUnavailable
from clew.observe.store import schema
from clew.observe.store.engine import Encoding, Engine, engine_of, first_line
from clew.observe.store.format import SCHEMA, Format
from clew.observe.store.lock import Lock
from clew.observe.store.rollups import ROLL_FROM
from clew.observe.store.turns import Turns
from clew.observe.store.unrolled import Unrolled
from clew.observe.store.upgrade import UPGRADES
from clew.wire.otlp import Signal

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client
    from clickhouse_connect.driver.query import QueryResult
    from numpy.typing import NDArray

    from clew.observe.store.totals import Totals

T = TypeVar("T")

COMPACT_ROWS = 100_000
"""A table of at most so many rows is merged at the end of an intake: some tenths of a second."""
MOST_REMEMBERED = 1000
"""Small answers that are remembered until something is written."""
REDACTION = "redaction"
"""Stands in store.format when secrets are masked in what arrives."""
REMOVAL_S = 5.0
"""Longest wait for the removal of replaced parts when the store is closed."""


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

    def __init__(self, engine: Engine, data_dir: Path, lock: Lock, prices: Path | None) -> None:
        self.engine = engine
        self.data_dir = data_dir
        """What is beside the tables: the write-ahead log, the spool, the quarantine; and the tables, when they are embedded."""
        self.prices = prices
        """Price override file, if any."""
        self.ingesting = Turns()
        """Held while records are inserted and settled."""
        self.on_stored: list[Callable[[Stored], None]] = []
        """Each is told of every batch of records once it is stored, in the thread that stored it: it must be quick, and not raise."""
        self.roll_from = ROLL_FROM
        """Spans from which the store has rollups."""
        self.has_rollups = False
        """Whether it is known to have them (rollups.exist)."""
        self.unrolled = Unrolled()
        """Rows of minutes that wait to be rolled up, for questions."""
        self.has_stale = True
        """Whether minutes may wait to be rolled up."""
        self.has_removed = False
        """Whether spans were removed since the rollups were last swept."""
        self.swept_at = 0.0
        """When that was, on the monotonic clock."""
        self.sketched_at = 0.0
        """When the sketches were last refreshed, on the same clock."""
        self._lock = lock
        self._handles: list[Client] = []
        self._local = threading.local()
        self._made: dict[str, str] = {}
        self._redact = False
        self._making = threading.Lock()
        self.totals: Totals | None = None
        """Metrics of everything stored, once somebody has asked for them (totals.py)."""
        self._written = False
        self._book: tuple[int, PriceBook] | None = None
        self._remembered: dict[Hashable, Any] = {}
        self.workers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="clew-insert")
        """Threads that insert; two keep two cores busy."""
        self.readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="clew-read")
        """Threads for a second query beside a first; apart from those that insert, so that no question waits for an import."""

    @classmethod
    def open(cls, data_dir: Path, *, url: str | None = None, prices: Path | None = None, wait_s: float = 0.0) -> Store:
        """Opens (creating and migrating if needed) the store of ``data_dir`` and takes its lock.

        :param url: address of a ClickHouse server that has the tables; none: they are embedded in the data directory
        :param prices: price override file; default: ``prices.toml`` in the data directory, if it exists
        :param wait_s: how long to wait for a process that owns the directory
        :raises StoreBusy: another process owns it; the message names the process
        :raises StoreNewer: it was written by a newer version
        :raises StoreUnavailable: disk, permissions, damage, or a server that does not answer, with the place and the reason
        :raises SettingError: ``url`` is no address of a store
        """
        data_dir = data_dir.expanduser().resolve()
        try:
            data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = Lock.take(data_dir / "store.lock", wait_s=wait_s)
        except OSError as error:
            raise StoreUnavailable(f"data directory {data_dir} cannot be used: {error.strerror}; choose another with --data-dir") from None
        try:
            engine = engine_of(url, data_dir)
            found = engine.read_format()
            default = data_dir / "prices.toml"
            store = cls(engine, data_dir, lock, prices or (default if default.exists() else None))
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
            self.remove_replaced()
        handles, self._handles = self._handles, []
        for handle in handles:
            with suppress(Exception):
                handle.close()
        self.engine.close()
        self._local = threading.local()
        self._lock.release()

    def describe(self, **more: Any) -> None:
        """Adds to the note on who owns the data directory, which a second process is shown."""
        self._lock.describe(**more)

    @property
    def connections(self) -> int:
        """How many handles of the engine are open."""
        return len(self._handles)

    def client(self) -> Client:
        """This thread's handle of the engine."""
        handle: Client | None = getattr(self._local, "handle", None)
        if handle is None:
            handle = self.engine.connect()
            self._local.handle = handle
            self._handles.append(handle)
        return handle

    def insert(self, signal: Signal, encoding: Encoding, *parts: bytes, in_haste: bool = False) -> None:
        """Hands OTLP requests to the engine: protobuf messages or JSON lines, which ``parts`` are one after the other. They must have been
        checked.

        All of it is stored when this returns, or none of it counts: repeating it changes nothing.

        :param in_haste: words are indexed by the first merge and not by the insert, which is a quarter cheaper; until then they are found by
            reading them
        :raises StoreError: the engine refuses; the message is its own
        """
        with engine_errors():
            way_in = schema.way_in(signal, encoding)
            if not self.has(way_in):
                self.make(way_in)
            chosen = _INSERT_SETTINGS | (_IN_HASTE if in_haste else {})
            self._change(lambda: self.engine.insert(self.client(), f"landing_{way_in}", signal, encoding, parts, chosen))

    def insert_rows(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Inserts rows into one of our own small tables."""
        if rows:
            with engine_errors():
                self._change(lambda: self.client().insert(table, rows, column_names=list(columns)))

    def command(self, sql: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Runs a statement that gives nothing back."""
        with engine_errors():
            self._change(lambda: self.client().command(sql, parameters=dict(parameters or {})))

    def empty(self, table: str) -> None:
        """Removes all rows of a table."""
        self.command(f"TRUNCATE TABLE {self.engine.placement.kept(table)}")

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

    def lists(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Sequence[Any]]:
        """Columns of a SELECT by name, as lists: no row is put together, which takes longer than to read it when there are many."""
        found = self.query(sql, parameters)
        return dict(zip(found.column_names, found.result_columns or [()] * len(found.column_names), strict=True))

    def rows_in(self, table: str) -> int:
        """Rows that a table has on disk, those among them that others replace."""
        return int(
            self.value(
                "SELECT sum(rows) FROM system.parts WHERE active AND database = currentDatabase() AND table = {table:String}",
                {"table": table},
            )
        )

    def compact(self) -> None:
        """Merges what is small enough to be merged at once; the rest is merged in the background while the store is open. What others use
        too is left to its server."""
        if not self.engine.is_own:
            return
        self._written = True
        for table, rows, parts in self.query(
            "SELECT table, sum(rows), count() FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
        ).result_rows:
            if parts > 1 and rows <= COMPACT_ROWS:
                self.command(f"OPTIMIZE TABLE {table} FINAL")

    def remove_replaced(self) -> None:
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
            client = self.engine.read_only(limits)
            try:
                yield client
            finally:
                client.close()

    def columns(self, sql: str, parameters: Mapping[str, Any] | None = None) -> dict[str, NDArray[Any]]:
        """Columns of a SELECT of numbers, as arrays."""
        with engine_errors():
            found = self.client().query_np(sql, parameters=dict(parameters or {}))
        return {name: found[name] for name in found.dtype.names or ()}

    def insert_array(self, table: str, rows: NDArray[Any]) -> None:
        """Inserts a structured array of numbers, unaligned, into one of our own tables of the same columns."""
        if len(rows):
            with engine_errors():
                self._change(lambda: self.client().raw_insert(table, list(rows.dtype.names or ()), rows.tobytes(), fmt="RowBinary"))

    def _change(self, write: Callable[[], object]) -> None:
        try:
            write()
        finally:
            self._remembered = {}  # also after what fails: it may have had an effect

    def remembered(self, key: Hashable, find: Callable[[], T]) -> T:
        """What ``find`` gives, which asks this store: asked again only once something was written. Where others write too, each time."""
        if self.engine.placement.is_shared:
            return find()
        known = self._remembered  # of this moment: what is found while something is written is known to nobody who asks afterwards
        if len(known) >= MOST_REMEMBERED:
            self._remembered = known = {}
        if key not in known:
            known[key] = find()
        return cast(T, known[key])

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
        chosen = settings.get("redact_ingest")
        self._redact = REDACTION in found.made if chosen is None else bool(chosen)
        """Sticks to the store: what opens it next may not know of the setting."""
        self._made = {name: digest for name, digest in found.made.items() if name != REDACTION} | (
            {REDACTION: "on"} if self._redact else {}
        )
        with engine_errors():
            client = self.client()
            for before, _ in upgrades:
                before(client)
            for name in schema.RETIRED:
                client.command(f"DROP VIEW IF EXISTS {schema.made_by(name)} {self.engine.placement.on_cluster} SYNC")
                self._made.pop(name, None)
            there = self._tables(client) if upgrades else set()  # earlier versions made more, and noted it elsewhere
            # Where others write too, a way in is not made again under their inserts: those are all made before the first.
            shared = self.engine.placement.is_shared
            self._make(
                file
                for file in self._files()
                if not file.is_later or (shared and file.is_way_in) or file.name in found.made or schema.made_by(file.name) in there
            )
            for _, after in upgrades:
                after(client)
        self.engine.write_format(Format(made=self._made))

    @staticmethod
    def _tables(client: Client) -> set[str]:
        return {name for (name,) in client.query("SELECT name FROM system.tables WHERE database = currentDatabase()").result_rows}

    def _files(self) -> Iterator[schema.File]:
        return schema.files(self.engine.placement, redact=self._redact)

    def _make(self, files: Iterable[schema.File]) -> None:
        changed = [file for file in files if self._made.get(file.name) != file.digest]
        for file in changed:
            for statement in file.statements:
                self.client().command(self.engine.placed(statement))
        self._made = {**self._made, **{file.name: file.digest for file in changed}}

    def has(self, word: str) -> bool:
        """Whether the tables of schema.ON_DEMAND are made that have this word in their files' names."""
        return any(name.removesuffix(".sql").endswith(f"_{word}") for name in self._made)

    def make(self, word: str) -> None:
        """Makes them. Idempotent."""
        with self._making, engine_errors():
            self._make(file for file in self._files() if file.holds(word))
            self.engine.write_format(Format(made=self._made))


_INSERT_SETTINGS: dict[str, Any] = {
    "input_format_null_as_default": 1,
    "input_format_json_ignore_unknown_keys_in_named_tuple": 1,
    "input_format_json_defaults_for_missing_elements_in_named_tuple": 1,
    "input_format_skip_unknown_fields": 1,
    "max_insert_block_size": 1_000_000,
    # Repeats within one insert wait for a merge, or a reader's FINAL, as others do. To go through the rows for them costs a sixth of an insert.
    "optimize_on_insert": 0,
    # The views select all there is, one from the other: there is nothing to rearrange, and to look for it takes a fifth of planning an insert.
    "query_plan_enable_optimizations": 0,
}
# The index of attributes stays: where only some parts have it, the engine (26.9) cannot evaluate its expression for the others.
_IN_HASTE = {"exclude_materialize_skip_indexes_on_insert": "words"}


_DISK = (
    *("NOT_ENOUGH_SPACE", "No space left", "Read-only file system", "File too large", "errno: 5", "errno: 27", "errno: 28", "errno: 30"),
    *("CANNOT_WRITE_TO_FILE_DESCRIPTOR", "CANNOT_OPEN_FILE", "CANNOT_FSYNC", "CANNOT_CREATE_DIRECTORY", "TABLE_IS_READ_ONLY"),
    *("TOO_MANY_PARTS", "QUERY_WAS_CANCELLED", "ABORTED"),
)
_SERVER = (
    *("TOO_MANY_SIMULTANEOUS_QUERIES", "NETWORK_ERROR", "SOCKET_TIMEOUT", "ALL_CONNECTION_TRIES_FAILED", "KEEPER_EXCEPTION"),
    *("UNKNOWN_STATUS_OF_INSERT", "AUTHENTICATION_FAILED"),
)
"""What the engine says when the fault is not with the records: the same insert may well succeed later."""


@contextmanager
def engine_errors() -> Iterator[None]:
    """Turns the engine's exceptions into StoreError; trouble with the disk or the way to the server into StoreUnavailable."""
    try:
        yield
    except StoreError:
        raise
    except Exception as error:
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        if not isinstance(error, ClickHouseError | RuntimeError | ValueError):
            raise
        text = first_line(error)
        if isinstance(error, OperationalError) or any(sign in str(error) for sign in _SERVER):
            raise StoreUnavailable(f"the store's server does not do it: {text}; run it again later: nothing is taken twice") from None
        if any(sign in str(error) for sign in _DISK):
            raise StoreUnavailable(
                f"the store cannot be written: {text}; free some space, then run it again: nothing is taken twice"
            ) from None
        raise StoreError(text) from None
