"""Measures a server and what it was told to watch, every now and then, and keeps it as points in the server's own store."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any, Final

from clew.errors import ClewError
from clew.observe.ingest.collector import Collector
from clew.observe.resources.databases import Watched
from clew.observe.store.store import Store
from clew.wire.resources import ProcessResources, Reading, machine

SENDER: Final = "clew serve"
SERVICE: Final = "clew"
_COLUMNS: Final = (
    *("name", "series", "time_ns", "start_ns", "arrival_ns", "sender", "kind", "unit", "temporality", "is_monotonic", "service", "process"),
    *("scope_name", "value", "int_value", "resource", "resource_types", "attributes", "attribute_types"),
)
COMPONENTS: Final = {
    "MainThread": "http",
    "clew-grpc": "grpc",
    "clew-check": "checking",
    "clew-collector": "ingest",
    "clew-insert": "ingest",
    "clew-ask": "queries",
    "clew-read": "queries",
    "clew-sql": "queries",
    "clew-owner": "commands",
    "client": "commands",
    "clew-sweep": "spool",
    "clew-resources": "resources",
}
"""Beginning of a thread's name -> component. What is no thread of Python's is the engine's."""

_ENGINE = """SELECT
    (SELECT value FROM system.metrics WHERE metric = 'MemoryTracking'),
    (SELECT value FROM system.metrics WHERE metric = 'GlobalThreadActive'),
    (SELECT count() FROM system.parts WHERE active AND database = currentDatabase()),
    (SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase())"""

log = logging.getLogger("clew.resources")


class ServerResources:
    """The figures of a server, measured every ``every_s`` seconds from run() until stop()."""

    def __init__(self, store: Store, collector: Collector, watched: Sequence[Watched], *, every_s: float) -> None:
        self._store = store
        self._collector = collector
        self._watched = list(watched)
        self._every_s = every_s
        self._process = ProcessResources()
        self._instance = f"clew-{os.getpid()}-{self._process.start_ns}"
        self._resource = {
            "service.name": SERVICE,
            "service.version": version("clew"),
            "service.instance.id": self._instance,
            "process.pid": str(os.getpid()),
        }
        self._stopping = threading.Event()
        self._away: set[str] = set()

    def run(self) -> None:
        """In a thread of its own."""
        try:
            while not self._stopping.wait(self._every_s):
                try:
                    self.measure()
                except ClewError as error:
                    log.warning("resources could not be kept: %s", error)
        finally:
            for one in self._watched:
                one.close()

    def stop(self) -> None:
        self._stopping.set()

    def measure(self) -> None:
        """Measures, and stores the points. They come from no sender, so they are in no account; and they go past the way in for OTLP, which
        costs the engine a tenth of a second to prepare each time.

        :raises StoreError: they cannot be stored
        """
        readings = [*self._process.read(), *self._process.components(COMPONENTS, "engine"), *machine(self._store.data_dir), *self._own()]
        for one in self._watched:
            readings += self._read(one)
        now = time.time_ns()
        with self._store.ingesting:
            self._store.insert_rows("point_records", _COLUMNS, [self._row(reading, now) for reading in readings])

    def _row(self, reading: Reading, now_ns: int) -> list[Any]:
        series = repr((self._instance, reading.name, sorted(reading.attributes.items())))
        is_whole, is_gauge = isinstance(reading.value, int), reading.kind == "gauge"
        return [
            reading.name,
            int.from_bytes(hashlib.blake2b(series.encode(), digest_size=8).digest()),
            now_ns,
            0 if is_gauge else self._process.start_ns,
            now_ns,
            SENDER,
            "gauge" if is_gauge else "sum",
            reading.unit,
            "unspecified" if is_gauge else "cumulative",
            reading.kind == "counter",
            SERVICE,
            self._instance,
            "clew",
            None if is_whole else reading.value,
            reading.value if is_whole else None,
            self._resource,
            ["string", "string", "string", "int"],
            dict(reading.attributes),
            ["string"] * len(reading.attributes),
        ]

    def _own(self) -> Iterator[Reading]:
        [(memory, threads, parts, disk)] = self._store.query(_ENGINE).result_rows
        engine = {"clew.component": "engine"}
        yield Reading("clew.component.memory.usage", "By", "sum", int(memory or 0), engine)
        yield Reading("clew.component.thread.count", "{thread}", "sum", int(threads or 0), engine)
        yield Reading("clew.store.parts", "{part}", "sum", int(parts))
        yield Reading("clew.store.size", "By", "sum", int(disk or 0))
        stats = self._collector.stats()
        yield Reading("clew.log.size", "By", "sum", stats.log_bytes)
        yield Reading("clew.log.waiting", "{record}", "sum", stats.waiting)
        pool = {"db.client.connection.pool.name": "store", "db.client.connection.state": "used"}
        yield Reading("db.client.connection.count", "{connection}", "sum", self._store.connections, pool)

    def _read(self, one: Watched) -> list[Reading]:
        """What a server says; nothing while it is away, which is logged when it begins and ends."""
        try:
            found = one.read()
        except Exception as error:
            if one.name not in self._away:
                self._away.add(one.name)
                log.warning("%s does not answer: %s", one.name, str(error).splitlines()[0] if str(error) else type(error).__name__)
            return [Reading("clew.watch.up", "1", "gauge", 0, one.attributes)]
        if one.name in self._away:
            self._away.discard(one.name)
            log.info("%s answers again", one.name)
        return [*found, Reading("clew.watch.up", "1", "gauge", 1, one.attributes)]
