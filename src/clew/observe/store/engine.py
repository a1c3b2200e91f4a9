"""Where the tables are: embedded in a directory of this machine (chdb), or in a ClickHouse server or cluster. The same SQL holds for both."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit
from uuid import uuid4

from clew import settings
from clew.errors import MissingExtra, SettingError, StoreUnavailable
from clew.observe.store.format import Format, keep
from clew.observe.store.normalise import literal
from clew.observe.store.schema import ONE_SERVER, Placement
from clew.wire.otlp import Signal, proto_schema
from clew.wire.whole import write_all

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Encoding = Literal["protobuf", "json"]
_FORMATS: dict[Encoding, str] = {"protobuf": "ProtobufSingle", "json": "JSONEachRow"}

INTERPRETED: dict[str, Any] = {"compile_expressions": 0, "compile_aggregate_expressions": 0, "compile_sort_description": 0}
"""The engine would compile a question that is asked for the fourth time, for longer than most of ours take, and gain nothing then."""

PASSED_BYTES = 32 << 20
"""What a thread keeps to pass inserts on in, after one that was larger."""

FOLDER = "c1e"
"""Where the files of all embedded tables lie: the engine names the folder of a table by the first three hexadecimal digits of its id."""
_MADE = re.compile(r"^CREATE TABLE IF NOT EXISTS \w+ ", re.MULTILINE)

DATABASE = "clew"
"""The database of a server whose address names none."""


class Engine(Protocol):
    """What differs between the two."""

    name: str
    """For people: no password is in it."""
    is_own: bool
    """Whether nobody else works in it, so that merging and tidying up are ours."""
    placement: Placement
    settles: bool
    """Whether settling is done here: of several collectors on one server, one does."""

    @property
    def backup_statement(self) -> str:
        """What a server backs the tables up by, where its configuration names a disk ``backups``; '' where their files are ours."""

    def connect(self) -> Client:
        """A handle for one thread.

        :raises StoreUnavailable: it cannot be had; says why
        """

    def read_only(self, limits: Mapping[str, Any]) -> Client:
        """A handle with these settings, for one query of a user: it cannot write, read files, open connections or change a setting."""

    def read_format(self) -> Format:
        """What the store holds, as write_format() has noted it.

        :raises StoreNewer: it is of a newer version
        """

    def write_format(self, format: Format) -> None: ...

    def placed(self, statement: str) -> str:
        """A statement that makes a table, or something else, with where the table's files lie."""

    def insert(
        self, client: Client, table: str, signal: Signal, encoding: Encoding, parts: Sequence[bytes], settings: Mapping[str, Any]
    ) -> None:
        """Inserts the OTLP that ``parts`` are one after the other."""

    def close(self) -> None:
        """Gives back what inserts needed. Idempotent; an insert may follow."""


class _Passed:
    """What a thread passes on to the engine, which reads files: one in memory that is written over and over, where there is such a thing.
    Anew for each insert it would cost a tenth of the insert."""

    def __init__(self, folder: Path) -> None:
        if hasattr(os, "memfd_create"):
            self._file: IO[bytes] = os.fdopen(os.memfd_create("clew-insert", os.MFD_CLOEXEC), "wb", buffering=0)
            self._path = f"/proc/self/fd/{self._file.fileno()}"
        else:  # only Linux has it
            named = tempfile.NamedTemporaryFile(prefix="insert-", dir=folder, buffering=0)  # noqa: SIM115 - held as long as the thread lives
            self._file, self._path = named, named.name

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def on(self, parts: Sequence[bytes]) -> Iterator[str]:
        """The path under which the engine finds the parts."""
        self._file.seek(0)
        write_all(self._file.fileno(), parts)
        self._file.truncate()
        yield self._path
        if self._file.tell() > PASSED_BYTES:
            self._file.truncate(PASSED_BYTES)


class Embedded:
    """The engine in this process, with its tables under ``data_dir``. A directory has one process."""

    is_own = True
    settles = True
    placement = ONE_SERVER
    backup_statement = ""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._url = f"chdb://{(data_dir / 'store').as_posix()}"
        # As a file: given as text, the engine would cache it in the working directory of whoever runs this.
        self._proto = data_dir / "otlp.proto"
        self.name = str(data_dir)
        self._local = threading.local()
        self._passed: list[_Passed] = []

    def connect(self) -> Client:
        try:
            import chdb  # noqa: F401 - named in the error below when it is missing
            import clickhouse_connect
        except ImportError as error:
            raise MissingExtra("The store", error.name or "chdb", "server") from None
        try:
            return clickhouse_connect.get_client(dsn=self._url, settings=dict(INTERPRETED))
        except Exception as error:
            free = shutil.disk_usage(self._data_dir).free
            raise StoreUnavailable(
                f"{self._data_dir} cannot be opened ({free >> 20} MiB free, writable: {os.access(self._data_dir, os.W_OK)}): {first_line(error)}"
            ) from None

    def read_only(self, limits: Mapping[str, Any]) -> Client:
        client = self.connect()
        try:
            for name, value in limits.items():
                client.command(f"SET {name} = '{value}'")
            client.command("SET readonly = 1")  # which cannot be taken back
        except BaseException:
            client.close()
            raise
        return client

    def placed(self, statement: str) -> str:
        """All in FOLDER: with ids of its own choice the engine makes one more folder for each, which takes a block of the disk."""
        return _MADE.sub(lambda made: f"{made[0]}UUID '{FOLDER}{str(uuid4())[len(FOLDER) :]}' ", statement)

    def insert(
        self, client: Client, table: str, signal: Signal, encoding: Encoding, parts: Sequence[bytes], settings: Mapping[str, Any]
    ) -> None:
        if encoding == "protobuf":
            settings = {**settings, "format_schema": f"{self._proto}:{signal.request}"}
        passed: _Passed | None = getattr(self._local, "passed", None)
        if passed is None:
            passed = self._local.passed = _Passed(self._data_dir)
            self._passed.append(passed)
        chosen = ", ".join(f"{name} = {value if isinstance(value, int) else literal(value)}" for name, value in settings.items())
        with passed.on(parts) as path:
            client.command(f"INSERT INTO {table} FROM INFILE {literal(path)} SETTINGS {chosen} FORMAT {_FORMATS[encoding]}")

    def close(self) -> None:
        passed, self._passed = self._passed, []
        for one in passed:
            one.close()
        self._local = threading.local()

    def read_format(self) -> Format:
        return Format.read(self._data_dir)

    def write_format(self, format: Format) -> None:
        keep(self._proto, proto_schema())
        format.write(self._data_dir)


@dataclass
class Remote:
    """A ClickHouse server, by its HTTP interface; with ``cluster`` in the address, a cluster of that name."""

    name: str
    placement: Placement
    _url: str
    _database: str
    settles: bool = True
    is_own = False

    @classmethod
    def of(cls, url: str, *, settles: bool = True) -> Remote:
        """
        :param url: ``clickhouse://user:password@host:8123/database?cluster=NAME``, with ``secure=1`` for TLS; other parameters go to
            clickhouse-connect. Only the host is needed.
        :raises SettingError: it is no such address; its password is not repeated
        """
        parts = urlsplit(url)
        shown = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=""))
        try:
            known = parts.scheme in ("clickhouse", "clickhouses") and bool(parts.hostname) and (parts.port or 1) > 0
        except ValueError:
            known = False
        if not known:
            raise SettingError(f"{shown} is no address of a store; write clickhouse://user:password@host:8123/database")
        options = dict(parse_qsl(parts.query))
        cluster = options.pop("cluster", "")
        if cluster and not cluster.replace("_", "").replace("-", "").isalnum():
            raise SettingError(f"{cluster!r} is no name of a cluster; it has letters, digits, _ and - only")
        if parts.scheme == "clickhouses":
            options["secure"] = "true"
        database = unquote(parts.path.strip("/")) or DATABASE
        plain = urlunsplit(("clickhouse", parts.netloc, "", urlencode(options), ""))
        return cls(shown, Placement(cluster, is_shared=True), plain, database, settles)

    def connect(self) -> Client:
        return self._client(self._database, {})

    def _client(self, database: str, settings: Mapping[str, Any]) -> Client:
        try:
            import clickhouse_connect
        except ImportError:
            raise MissingExtra("The store", "clickhouse-connect", "server") from None
        if self.placement.cluster:
            # The parts of a trace are on one shard; what is beside them (prices, processes) may not be. An insert is done when it is everywhere.
            settings = {"distributed_product_mode": "global", "distributed_foreground_insert": 1, **settings}
        try:
            # Without sessions: every request may go to another node.
            return clickhouse_connect.get_client(
                dsn=self._url, database=database, settings={**INTERPRETED, **settings}, autogenerate_session_id=False
            )
        except Exception as error:
            raise StoreUnavailable(f"{self.name} does not answer: {first_line(error)}; is it running, and is the password right?") from None

    @property
    def backup_statement(self) -> str:
        where = filter(None, ["BACKUP DATABASE", f"`{self._database}`", self.placement.on_cluster])
        return f"{' '.join(where)} TO Disk('backups', '{self._database}')"

    def read_only(self, limits: Mapping[str, Any]) -> Client:
        return self._client(self._database, {**limits, "readonly": 1})

    def placed(self, statement: str) -> str:
        return statement

    def insert(
        self, client: Client, table: str, signal: Signal, encoding: Encoding, parts: Sequence[bytes], settings: Mapping[str, Any]
    ) -> None:
        if encoding == "protobuf":
            schema = {"format_schema_source": "string", "format_schema": proto_schema(), "format_schema_message_name": signal.request}
            settings = {**settings, **schema}
        client.raw_insert(table, insert_block=b"".join(parts), fmt=_FORMATS[encoding], settings=dict(settings))

    def close(self) -> None:
        pass

    def read_format(self) -> Format:
        with closing(self._client("", {})) as client:
            client.command(f"CREATE DATABASE IF NOT EXISTS `{self._database}` {self.placement.on_cluster}")
        with closing(self.connect()) as client:
            client.command(
                f"CREATE TABLE IF NOT EXISTS store_format {self.placement.on_cluster} (schema UInt32, written_by String, "
                "made Map(String, String), noted_ns UInt64 DEFAULT toUnixTimestamp64Nano(now64(9))) "
                f"ENGINE = {self.placement.replicated}ReplacingMergeTree(noted_ns) ORDER BY tuple()"
            )
            found = client.query("SELECT schema, written_by, made FROM store_format ORDER BY noted_ns DESC LIMIT 1").result_rows
        return Format.of(*found[0], where=self.name) if found else Format()

    def write_format(self, format: Format) -> None:
        with closing(self.connect()) as client:
            client.insert("store_format", [format.row()], column_names=["schema", "written_by", "made"])


def engine_of(url: str | None, data_dir: Path) -> Engine:
    """The engine at an address; none: the one embedded in the data directory. The setting ``settle`` says whether settling is done here.

    :raises SettingError: it is no address of a store
    """
    return Remote.of(url, settles=settings.get("settle")) if url else Embedded(data_dir)


def first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:1000]
