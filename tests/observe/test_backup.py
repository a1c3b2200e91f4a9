"""A backup is made while the store is used, holds all that was acknowledged, and becomes the same store again, whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from clew.errors import MalformedRecord, StoreError, StoreNewer
from clew.observe.ingest.backup import SNAPSHOT, backup, restore, tidy
from clew.observe.ingest.collector import Collector
from clew.observe.store.format import SCHEMA
from clew.observe.store.store import Store
from clew.wire.archive import MANIFEST, manifest_of, part_of
from clew.wire.check import check_protobuf
from clew.wire.otlp import TRACES

FIGURES = (
    *tuple(
        f"SELECT * FROM {view} ORDER BY ALL"
        for view in ("spans", "contents", "model_calls", "tool_calls", "sessions", "logs", "prices FINAL")
    ),
    "SELECT * FROM traces FINAL ORDER BY ALL",
    "SELECT trace_id FROM payloads WHERE hasAllTokens(lower(if(indexed, value, '')), 'marble') ORDER BY 1",
)


def figures(store: Store) -> list[Any]:
    return [list(store.query(query).result_rows) for query in FIGURES]


def fill(store: Store, otlp: Any) -> None:
    call = {"clew.span.kind": "llm", "gen_ai.request.model": "gpt-4o", "gen_ai.usage.input_tokens": 10, "session.id": "s"}
    for trace in range(1, 4):
        spans = [otlp.span(n, trace, n - 1, call | {"gen_ai.input.messages": f"marble {trace} {n}"}) for n in range(1, 6)]
        otlp.take(store, otlp.lines(otlp.traces(*spans), otlp.logs(otlp.log(f"log {trace}"))))


@pytest.mark.parametrize("name", ["backup", "backup.tar"])
def test_a_restored_store_has_every_figure_and_goes_on(name: str, store: Store, otlp: Any, tmp_path: Path) -> None:
    fill(store, otlp)
    collector = Collector(store, log_bytes=1 << 30)
    collector.take(check_protobuf(TRACES, otlp.protobuf(otlp.traces(otlp.span(1, 9)))), "protobuf", "sender").result(30)
    collector.start()
    (store.data_dir / "prices.toml").write_text("# mine\n")
    (store.data_dir / "keys.json").write_text("[]")
    database = sqlite3.connect(store.data_dir / "ledger.sqlite")
    database.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7)")  # not in the main file yet
    made = backup(store, tmp_path / name, collector)
    database.close()
    assert not (store.data_dir / SNAPSHOT).exists()
    expected, lines = figures(store), collector.stats().lines
    assert lines[0].stored == 1
    collector.close()
    store.close()
    assert restore(tmp_path / name, tmp_path / "new").files == made.files
    assert not (tmp_path / "new" / "keys.json").exists()
    assert (tmp_path / "new" / "prices.toml").read_text() == "# mine\n"
    assert sqlite3.connect(tmp_path / "new" / "ledger.sqlite").execute("SELECT x FROM t").fetchall() == [(7,)]
    with Store.open(tmp_path / "new") as restored:
        assert figures(restored) == expected
        assert restored.value("SELECT count() FROM spans") == 16
        again = Collector(restored, log_bytes=1 << 30)
        assert again.stats().lines == lines
        again.start()
        again.take(check_protobuf(TRACES, otlp.protobuf(otlp.traces(otlp.span(2, 9)))), "protobuf", "sender").result(30)
        again.close()
        assert restored.value("SELECT count() FROM spans") == 17


def test_a_backup_during_inserts_and_merges_is_of_one_moment(store: Store, otlp: Any, tmp_path: Path) -> None:
    """Each request holds as many spans as its trace is to have: a trace is in the backup whole or not at all."""
    from concurrent.futures import ThreadPoolExecutor

    collector = Collector(store, log_bytes=1 << 30)
    collector.start()

    def send(trace: int) -> None:
        request = otlp.traces(*(otlp.span(number, trace) for number in range(1, 21)))
        collector.take(check_protobuf(TRACES, otlp.protobuf(request)), "protobuf", "sender").result(30)

    with ThreadPoolExecutor(1) as sender:
        sent = sender.map(send, range(1, 400))
        send(1000)
        backup(store, tmp_path / "b", collector)
        list(sent)
    collector.close()
    assert store.value("SELECT uniqExact(trace_id) FROM spans") == 400
    store.close()
    restore(tmp_path / "b", tmp_path / "new")
    with Store.open(tmp_path / "new") as restored:
        counts = restored.pairs("SELECT trace_id, count() FROM spans GROUP BY trace_id")
        assert counts.pop(otlp.trace_id(1000)) == 20  # it was acknowledged before
        assert set(counts.values()) <= {20}


def test_there_is_nothing_half_when_a_backup_is_killed(store: Store, otlp: Any, tmp_path: Path) -> None:
    fill(store, otlp)
    target = tmp_path / "b.tar"
    data_dir = store.data_dir
    store.close()
    script = (
        "import sys, os, pathlib, signal\n"
        "from clew.observe.store.store import Store\n"
        "from clew.observe.ingest.backup import backup\n"
        "def progress(done, size, files):\n"
        "    if files == 20: os.kill(os.getpid(), signal.SIGKILL)\n"
        "backup(Store.open(pathlib.Path(sys.argv[1])), pathlib.Path(sys.argv[2]), None, progress)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, data_dir, target]).returncode == -signal.SIGKILL
    assert not target.exists()
    assert part_of(target).exists()
    with pytest.raises(MalformedRecord, match="no backup of Clew, or was cut off"):
        restore(part_of(target).rename(tmp_path / "half.tar"), tmp_path / "new")
    assert not (tmp_path / "new").exists()
    tidy(data_dir)
    assert not (data_dir / SNAPSHOT).exists()
    with Store.open(data_dir) as opened:
        part_of(target).write_bytes(b"left by a killed one")
        backup(opened, target, None)
        opened._written = False
    assert not part_of(target).exists()
    assert manifest_of(target).schema == SCHEMA


def test_a_target_that_is_there_or_in_the_way_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(FileExistsError):
        backup(store, tmp_path / "there", None)
    with pytest.raises(StoreError, match="in the data directory itself"):
        backup(store, store.data_dir / "b", None)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an empty store."""
    path = tmp_path_factory.mktemp("small")
    with Store.open(path / "data") as store:
        backup(store, path / "b", None)
    return path / "b"


def test_only_an_empty_directory_is_restored_into(small: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    (tmp_path / "file").touch()
    for name in ("full", "file"):
        with pytest.raises(StoreError, match="is not empty; restore into a new directory"):
            restore(small, tmp_path / name)
    (tmp_path / "empty").mkdir()
    restore(small, tmp_path / "empty")
    assert (tmp_path / "empty" / "store.format").exists()
    assert os.stat(tmp_path / "empty").st_mode & 0o77 == 0


def test_a_backup_that_is_damaged_newer_or_tampered_with_is_refused_and_leaves_nothing(small: Path, tmp_path: Path) -> None:
    def changed(name: str, **fields: Any) -> Path:
        copy = Path(shutil.copytree(small, tmp_path / name, symlinks=True))
        manifest = json.loads((copy / MANIFEST).read_text())
        (copy / MANIFEST).write_bytes(msgspec.json.encode(manifest | fields))
        return copy

    damaged = changed("damaged")
    (damaged / "store.format").write_text("{}")
    cases: tuple[tuple[Path, type[Exception], str], ...] = (
        (damaged, MalformedRecord, "store.format is not what was backed up"),
        (changed("newer", schema=SCHEMA + 1, written_by="99.0"), StoreNewer, rf"made by Clew 99\.0 \(schema {SCHEMA + 1}\)"),
        (changed("out", files=[{"path": "../x", "bytes": 1, "sha256": "", "link": ""}]), MalformedRecord, "which is outside of it"),
        (changed("root", files=[{"path": "/x", "bytes": 1, "sha256": "", "link": ""}]), MalformedRecord, "which is outside of it"),
        (changed("link", files=[{"path": "a", "bytes": 0, "sha256": "", "link": "../../x"}]), MalformedRecord, "which is outside of it"),
        (tmp_path, MalformedRecord, "no backup of Clew"),
        (Path(__file__), MalformedRecord, "neither a folder nor a tar file"),
    )
    for source, error, said in cases:
        with pytest.raises(error, match=said):
            restore(source, tmp_path / "target" / "new")
        assert not list((tmp_path / "target").iterdir()) if (tmp_path / "target").exists() else True
