"""What a user deletes is gone: from every table, and from every file of the data directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from clew.errors import FilterError, NotFound, QueryError
from clew.observe.ingest.collector import Collector
from clew.observe.ingest.deletion import delete
from clew.observe.query import selection
from clew.observe.query.runs import runs
from clew.observe.store.deletion import Deleted
from clew.observe.store.removed import removed
from clew.observe.store.store import Store
from clew.wire.check import check_protobuf
from clew.wire.otlp import TRACES

SECRET = "xylophone-quagmire-7731"
NOTHING = Deleted(0, 0, 0, 0, True)


def blocks(data: bytes) -> Iterator[bytes]:
    """The engine's compressed blocks, one after the other: checksum (16), method (1), sizes (4 + 4), data."""
    place = 0
    while place + 25 <= len(data):
        method, size = data[place + 16], int.from_bytes(data[place + 17 : place + 21], "little")
        plain = int.from_bytes(data[place + 21 : place + 25], "little")
        body = data[place + 25 : place + 16 + size]
        if size < 9 or len(body) != size - 9:
            return
        if method == 0x90:
            yield zstandard.ZstdDecompressor().decompress(body, max_output_size=plain)
        elif method == 0x82:
            yield lz4(body)
        elif method == 0x02:
            yield body
        else:
            return
        place += 16 + size


def lz4(data: bytes) -> bytes:
    out, place = bytearray(), 0

    def length(start: int) -> int:
        nonlocal place
        while start == 15 or (start % 255 == 15 and data[place - 1] == 255):
            start += data[place]
            place += 1
            if data[place - 1] != 255:
                break
        return start

    while place < len(data):
        token = data[place]
        place += 1
        literal = length(token >> 4)
        out += data[place : place + literal]
        place += literal
        if place >= len(data):
            break
        back = int.from_bytes(data[place : place + 2], "little")
        place += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-back])
    return bytes(out)


def files_with(folder: Path, text: str) -> set[str]:
    """Files that hold the text, as it is or within the engine's compressed blocks."""
    word = text.encode()
    found = set()
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            data = path.read_bytes()
            if word in data or any(word in block for block in blocks(data)):
                found.add(path.name)
    return found


@pytest.fixture
def collector(store: Store) -> Iterator[Collector]:
    opened = Collector(store, log_bytes=1 << 30)
    opened.start()
    yield opened
    opened.close()


def send(collector: Collector, otlp: Any, *traces: int, session: str = "") -> None:
    for trace in traces:
        words = {"gen_ai.input.messages": f"{SECRET} of {trace}", "note": f"{SECRET}{trace}", "session.id": session, "k": trace}
        request = otlp.traces(otlp.span(1, trace), otlp.span(2, trace, 1, words), otlp.span(2, trace, 1, words | {"again": SECRET}))
        collector.take(check_protobuf(TRACES, otlp.protobuf(request)), "protobuf", "sender").result(30)


def test_a_deleted_run_leaves_nothing_in_any_file_and_the_others_alone(store: Store, collector: Collector, otlp: Any) -> None:
    send(collector, otlp, 1, 2)
    otlp.take(store, otlp.lines(otlp.logs(otlp.log(f"{SECRET} logged", traceId=otlp.trace_id(1)), otlp.log("other"))))
    collector.wait_until_stored()
    before = files_with(store.data_dir, SECRET)
    assert any(name.endswith(".bin") for name in before)
    assert files_with(store.data_dir, "xylophone") >= {name for name in before if "skp_idx" in name}
    assert any("skp_idx" in name for name in files_with(store.data_dir, "quagmire"))
    assert any(name.endswith(".wal") for name in before)
    own = f"{SECRET} of 1"
    assert files_with(store.data_dir, own)
    would = delete(store, lambda store: selection.by_id(store, otlp.trace_id(1)), collector, dry_run=True)
    assert would == Deleted(1, 2, 1, 1, False)
    assert len(runs(store)) == 2
    done = delete(store, lambda store: selection.by_id(store, otlp.trace_id(1)), collector)
    assert done == Deleted(1, 2, 1, 1, True)
    for text in (own, f"{SECRET}1", f"{SECRET} logged", otlp.trace_id(1)):
        assert files_with(store.data_dir, text) == set(), text
    for (table,) in store.query("SELECT table FROM system.columns WHERE name = 'trace_id' AND database = currentDatabase()").result_rows:
        assert store.value(f"SELECT countIf(trace_id = {{id:String}}) FROM {table}", {"id": otlp.trace_id(1)}) == 0 or table.startswith(
            "landing"
        )
    assert [run.run_id for run in runs(store)] == [otlp.trace_id(2)]
    assert files_with(store.data_dir, f"{SECRET} of 2")
    assert delete(store, lambda store: selection.by_id(store, otlp.trace_id(1)), collector) == NOTHING
    stats = collector.stats()
    assert (stats.received, stats.stored, stats.gap) == (6, 6, 0)
    assert stats.removed == {"traces": {"deleted": 2}, "logs": {"deleted": 1}}
    delete(store, lambda store: selection.by_id(store, otlp.trace_id(2)), collector)
    assert files_with(store.data_dir, SECRET) == set()
    assert files_with(store.data_dir, "quagmire") == set()


def test_what_waits_in_the_log_is_deleted_too_and_does_not_come_back(store: Store, otlp: Any) -> None:
    collector = Collector(store, log_bytes=1 << 30)
    send(collector, otlp, 1)  # nothing drains yet
    collector.start()
    assert delete(store, lambda store: selection.by_id(store, otlp.trace_id(1)), collector).spans == 2
    assert not list((store.data_dir / "wal").glob("*.wal"))
    # As after a kill: the account and the log are read from the disk again.
    again = Collector(store, log_bytes=1 << 30)
    again.start()
    again.close()
    assert runs(store) == []
    send(collector, otlp, 1)  # what arrives later is new
    collector.close()
    assert len(runs(store)) == 1


def test_runs_go_by_session_and_by_filter(store: Store, collector: Collector, otlp: Any) -> None:
    send(collector, otlp, 1, 2, session="s1")
    send(collector, otlp, *range(3, 7), session="s2")
    assert delete(store, lambda store: selection.by_session(store, "s1"), collector).runs == 2
    assert delete(store, lambda store: selection.by_session(store, "s1"), collector) == NOTHING
    assert delete(store, lambda store: selection.by_filter(store, "session:s2 @k:>4"), collector).runs == 2
    assert sorted(run.run_id for run in runs(store)) == [otlp.trace_id(3), otlp.trace_id(4)]
    assert removed(store.data_dir).records == {"traces": {"deleted": 8}}


def test_a_filter_that_means_everything_or_nothing_known_is_refused(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1))))
    with pytest.raises(QueryError, match="an empty filter means every run"):
        selection.by_filter(store, " ")
    with pytest.raises(FilterError):
        selection.by_filter(store, "nosuchfield:x")
    with pytest.raises(NotFound):
        selection.by_id(store, "77")
    assert selection.by_id(store, otlp.trace_id(1)[:31]) == [otlp.trace_id(1)]
