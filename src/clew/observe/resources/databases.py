"""Memory, connections and size of Redis and PostgreSQL servers, under the names that the OpenTelemetry collector's receivers use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from clew.errors import MissingExtra, SettingError
from clew.wire.resources import Reading

TIMEOUT_S: Final = 5
"""Longest wait for a server; a slow one is told like one that is away."""

_REDIS: Final[tuple[tuple[str, str, str, Any], ...]] = (
    ("redis.memory.used", "By", "gauge", "used_memory"),
    ("redis.memory.rss", "By", "gauge", "used_memory_rss"),
    ("redis.memory.peak", "By", "gauge", "used_memory_peak"),
    ("redis.memory.max", "By", "gauge", "maxmemory"),
    ("redis.clients.connected", "{client}", "sum", "connected_clients"),
    ("redis.clients.blocked", "{client}", "sum", "blocked_clients"),
    ("redis.commands.processed", "{command}", "counter", "total_commands_processed"),
    ("redis.keyspace.hits", "{hit}", "counter", "keyspace_hits"),
    ("redis.keyspace.misses", "{miss}", "counter", "keyspace_misses"),
    ("redis.keys.evicted", "{key}", "counter", "evicted_keys"),
    ("redis.keys.expired", "{key}", "counter", "expired_keys"),
    ("redis.connections.rejected", "{connection}", "counter", "rejected_connections"),
    ("redis.net.input", "By", "counter", "total_net_input_bytes"),
    ("redis.net.output", "By", "counter", "total_net_output_bytes"),
    ("redis.uptime", "s", "gauge", "uptime_in_seconds"),
)
"""Name, unit, kind, field of INFO."""

_POSTGRESQL: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("postgresql.db_size", "By", "sum", "pg_database_size(current_database())"),
    ("postgresql.connection.max", "{connection}", "gauge", "current_setting('max_connections')::bigint"),
    ("postgresql.shared_buffers", "By", "gauge", "pg_size_bytes(current_setting('shared_buffers'))"),
    ("postgresql.backends", "{backend}", "sum", "(SELECT numbackends FROM pg_stat_database WHERE datname = current_database())"),
    ("postgresql.commits", "{transaction}", "counter", "(SELECT xact_commit FROM pg_stat_database WHERE datname = current_database())"),
    ("postgresql.rollbacks", "{transaction}", "counter", "(SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database())"),
    ("postgresql.deadlocks", "{deadlock}", "counter", "(SELECT deadlocks FROM pg_stat_database WHERE datname = current_database())"),
    ("postgresql.temp_files", "By", "counter", "(SELECT temp_bytes FROM pg_stat_database WHERE datname = current_database())"),
)
"""Name, unit, kind, SQL."""
_CONNECTIONS = """SELECT CASE WHEN state LIKE 'idle%' THEN 'idle' ELSE 'used' END, coalesce(nullif(application_name, ''), 'unnamed'), count(*)
FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1, 2"""


class Watched:
    """One server. read() asks it, over a connection that is kept; after a failure the next read() connects anew."""

    def __init__(self, url: str) -> None:
        """:raises SettingError: it is no URL of a server that can be watched"""
        parts = urlsplit(url)
        found = _READERS.get(parts.scheme)
        if found is None or not (parts.hostname or parts.query or parts.path):
            raise SettingError(
                f"{_shown(url)} cannot be watched; give redis://HOST:PORT, rediss://…, unix://PATH or postgresql://USER@HOST/DATABASE"
            )
        system, self._ask, port = found
        self.name = _shown(url)
        """Without its password."""
        self.attributes = {
            "db.system.name": system,
            "server.address": parts.hostname or "localhost",
            "server.port": str(parts.port or port),
        }
        self._url = url
        self._kept: dict[str, Any] = {}

    def read(self) -> list[Reading]:
        """:raises Exception: the server is away, or refuses; of its client's own type
        :raises MissingExtra: the client is not installed
        """
        try:
            return [reading._replace(attributes={**self.attributes, **reading.attributes}) for reading in self._ask(self._url, self._kept)]
        except Exception:
            self.close()
            raise

    def close(self) -> None:
        """Idempotent."""
        for connection in self._kept.values():
            try:
                connection.close()
            except Exception:  # it is gone already
                continue
        self._kept.clear()


def _shown(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"


def _redis(url: str, kept: dict[str, Any]) -> Iterator[Reading]:
    try:
        import redis
    except ImportError:
        raise MissingExtra("Watching Redis", "redis", "watch") from None
    if "redis" not in kept:
        kept["redis"] = redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    info = kept["redis"].info("all")
    for name, unit, kind, field in _REDIS:
        if isinstance(info.get(field), (int, float)):
            yield Reading(name, unit, kind, info[field])  # type: ignore[arg-type]
    for database, figures in info.items():
        if database.startswith("db") and isinstance(figures, dict) and "keys" in figures:
            yield Reading("redis.db.keys", "{key}", "gauge", figures["keys"], {"db.namespace": database.removeprefix("db")})


def _postgresql(url: str, kept: dict[str, Any]) -> Iterator[Reading]:
    try:
        import psycopg
    except ImportError:
        raise MissingExtra("Watching PostgreSQL", "psycopg[binary]", "watch") from None
    if "postgresql" not in kept:
        kept["postgresql"] = psycopg.connect(
            url, autocommit=True, connect_timeout=TIMEOUT_S, options=f"-c statement_timeout={TIMEOUT_S * 1000}"
        )
    connection = kept["postgresql"]
    database = {"db.namespace": connection.info.dbname}
    row = connection.execute(f"SELECT {', '.join(sql for *_, sql in _POSTGRESQL)}").fetchone()
    for (name, unit, kind, _), value in zip(_POSTGRESQL, row, strict=True):
        if value is not None:
            yield Reading(name, unit, kind, int(value), database)  # type: ignore[arg-type]
    for state, pool, count in connection.execute(_CONNECTIONS).fetchall():
        yield Reading(
            "db.client.connection.count",
            "{connection}",
            "sum",
            count,
            {**database, "db.client.connection.state": state, "db.client.connection.pool.name": pool},
        )


_Asker = Callable[[str, dict[str, Any]], Iterator[Reading]]
_READERS: Final[dict[str, tuple[str, _Asker, int]]] = {
    "redis": ("redis", _redis, 6379),
    "rediss": ("redis", _redis, 6379),
    "unix": ("redis", _redis, 0),
    "postgresql": ("postgresql", _postgresql, 5432),
    "postgres": ("postgresql", _postgresql, 5432),
}
