"""Where the tables are: embedded in a directory of this machine (chdb), or in a ClickHouse server or cluster. The same SQL holds for both."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from clew import settings
from clew.errors import MissingExtra, SettingError, StoreUnavailable
from clew.observe.store.format import Format, keep
from clew.observe.store.schema import ONE_SERVER, Placement
from clew.wire.otlp import Signal, proto_schema

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Encoding = Literal["protobuf", "json"]

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

    def insert_settings(self, signal: Signal, encoding: Encoding) -> dict[str, Any]:
        """What the engine has to be told to take in OTLP."""

    def read_format(self) -> Format:
        """What the store holds, as write_format() has noted it.

        :raises StoreNewer: it is of a newer version
        """

    def write_format(self, format: Format) -> None: ...


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

    def connect(self) -> Client:
        try:
            import chdb  # noqa: F401 - named in the error below when it is missing
            import clickhouse_connect
        except ImportError as error:
            raise MissingExtra("The store", error.name or "chdb", "server") from None
        try:
            return clickhouse_connect.get_client(dsn=self._url)
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

    def insert_settings(self, signal: Signal, encoding: Encoding) -> dict[str, Any]:
        return {"format_schema": f"{self._proto}:{signal.request}"} if encoding == "protobuf" else {}

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
            return clickhouse_connect.get_client(dsn=self._url, database=database, settings=dict(settings), autogenerate_session_id=False)
        except Exception as error:
            raise StoreUnavailable(f"{self.name} does not answer: {first_line(error)}; is it running, and is the password right?") from None

    @property
    def backup_statement(self) -> str:
        where = filter(None, ["BACKUP DATABASE", f"`{self._database}`", self.placement.on_cluster])
        return f"{' '.join(where)} TO Disk('backups', '{self._database}')"

    def read_only(self, limits: Mapping[str, Any]) -> Client:
        return self._client(self._database, {**limits, "readonly": 1})

    def insert_settings(self, signal: Signal, encoding: Encoding) -> dict[str, Any]:
        if encoding == "json":
            return {}
        return {"format_schema_source": "string", "format_schema": proto_schema(), "format_schema_message_name": signal.request}

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
