"""The write-ahead log: what was acknowledged can be read again, whatever happens to the process or to the end of the file."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.errors import StoreUnavailable
from clew.observe.ingest import blocks, wal
from clew.observe.ingest.wal import Head, Log, LogFull, Position

START = Position(0, 0)


def open_log(folder: Path, *, after: Position = START, limit: int = 1 << 30, heads: list[Head] | None = None) -> Log:
    return Log(folder, limit_bytes=limit, after=after, noted=(heads if heads is not None else []).extend)


def append(log: Log, body: bytes, *, records: int = 1, **rejected: int) -> Future[None]:
    return log.append("traces", "protobuf", "someone", records, body, rejected)


def drain(log: Log) -> list[tuple[Head, bytes]]:
    found = []
    while frames := log.next(1 << 20):
        found += [(frame.head, frame.body) for frame in frames]
    return found


def test_what_was_written_is_read_in_order_with_who_sent_it_and_when(tmp_path: Path) -> None:
    heads: list[Head] = []
    log = open_log(tmp_path, heads=heads)
    for number in range(100):
        append(log, b"%d" % number, records=number, odd=1).result(10)
    found = drain(log)
    assert [body for _, body in found] == [b"%d" % number for number in range(100)]
    assert [(head.signal, head.encoding, head.sender, head.records, head.rejected) for head, _ in found] == [
        ("traces", "protobuf", "someone", number, {"odd": 1}) for number in range(100)
    ]
    arrivals = [head.arrival_ns for head, _ in found]
    assert arrivals == sorted(set(arrivals))
    assert heads == [head for head, _ in found]
    log.close()


def test_many_writers_share_a_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    append(log, b"the segment is there").result(10)
    syncs = []
    first, go = threading.Event(), threading.Event()

    def sync(descriptor: int) -> None:
        syncs.append(descriptor)
        first.set()
        assert go.wait(10)

    monkeypatch.setattr(blocks, "_sync", sync)
    one = append(log, b"one")
    assert first.wait(10)
    others = [append(log, b"more") for _ in range(1000)]
    assert not one.done()  # not before it is on disk
    go.set()
    for future in (one, *others):
        future.result(10)
    assert len(syncs) == 2
    log.close()


@given(cut=st.integers(1, 400), garbage=st.binary(max_size=40))
def test_a_log_with_a_torn_end_gives_every_frame_before_it(tmp_path_factory: pytest.TempPathFactory, cut: int, garbage: bytes) -> None:
    folder = tmp_path_factory.mktemp("wal")
    log = open_log(folder)
    bodies = [bytes([number]) * number for number in range(1, 12)]
    for body in bodies:
        append(log, body).result(10)
    log.close()
    [path] = folder.glob("*.wal")
    whole = path.read_bytes()
    path.write_bytes(whole[: max(len(whole) - cut, 0)] + garbage)
    log = open_log(folder)
    found = [body for _, body in drain(log)]
    assert found == bodies[: len(found)]
    assert sum(len(body) for body in bodies[len(found) + 1 :]) < cut  # only frames that the cut has reached are gone
    assert log.damages == []
    append(log, b"after").result(10)
    assert [body for _, body in drain(log)] == [b"after"]
    log.close()


def test_one_byte_torn_off_costs_one_frame(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for body in (b"one", b"two", b"three"):
        append(log, body).result(10)
    log.close()
    [path] = tmp_path.glob("*.wal")
    os.truncate(path, path.stat().st_size - 1)
    log = open_log(tmp_path)
    assert [body for _, body in drain(log)] == [b"one", b"two"]
    log.close()


def test_damage_in_an_earlier_segment_is_told_from_a_torn_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "SEGMENT_BYTES", 100)
    log = open_log(tmp_path)
    for number in range(6):
        append(log, b"%d" % number * 60).result(10)
    log.close()
    first, *rest = sorted(tmp_path.glob("*.wal"))
    assert rest
    data = bytearray(first.read_bytes())
    data[-1] ^= 1
    first.write_bytes(data)
    log = open_log(tmp_path)
    [damage] = log.damages
    assert damage.segment == first.name
    assert damage.bytes.endswith(bytes(data[-60:]))
    found = [body for _, body in drain(log)]
    assert found[-1] == b"5" * 60
    assert len(found) == 5
    log.close()


def test_only_what_the_store_has_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "SEGMENT_BYTES", 100)
    log = open_log(tmp_path)
    for number in range(9):
        append(log, b"%d" % number * 60).result(10)
    frames = [frame for _ in range(5) for frame in log.next(1)]
    assert [frame.body[:1] for frame in frames] == [b"0", b"1", b"2", b"3", b"4"]
    log.forget(frames[-1].end)
    log.close()
    log = open_log(tmp_path, after=frames[-1].end)
    assert [head.records for head in log.recovered] == [1] * 4
    assert [body[:1] for _, body in drain(log)] == [b"5", b"6", b"7", b"8"]
    log.close()


def test_what_did_not_get_into_the_store_is_given_again(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, b"one").result(10)
    [one] = log.next(1)
    append(log, b"two").result(10)
    assert [body for _, body in drain(log)] == [b"two"]
    log.rewind(one.end)
    assert [body for _, body in drain(log)] == [b"two"]
    log.rewind(START)
    assert [body for _, body in drain(log)] == [b"one", b"two"]
    log.close()


def test_a_full_log_refuses_and_has_room_again_when_the_store_has_taken_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wal, "SEGMENT_BYTES", 100)
    log = open_log(tmp_path, limit=1000)

    def fits() -> bool:
        try:
            append(log, b"x" * 100).result(10)
        except LogFull:
            return False
        return True

    taken = next(number for number in range(100) if not fits())
    assert 5 < taken < 10
    assert log.bytes <= 1000
    last = [frame for _ in range(taken) for frame in log.next(1)][-1]
    log.forget(last.end)
    assert fits()
    log.close()


def test_nothing_is_taken_after_closing_and_everything_before_is_written(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    futures = [append(log, b"x" * 1000) for _ in range(500)]
    log.close()
    assert [future.result(0) for future in futures] == [None] * 500
    with pytest.raises(StoreUnavailable, match="closing"):
        append(log, b"late")
    log = open_log(tmp_path)
    assert len(log.recovered) == 500
    log.close()


def test_frames_come_together_up_to_a_size_and_a_larger_one_alone(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for size in (10, 5_000, 100_000, 1, 8_000, 4_096):
        append(log, bytes([size % 251]) * size).result(10)
    found = []
    while frames := log.next(9_000):
        assert all(set(frame.body) == {len(frame.body) % 251} for frame in frames)
        found.append([len(frame.body) for frame in frames])
    assert found == [[10, 5_000], [100_000], [1, 8_000], [4_096]]
    log.close()


def test_a_segment_that_was_cut_short_is_named(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, b"x" * 10_000).result(10)
    [path] = tmp_path.glob("*.wal")
    os.truncate(path, 5_000)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=rf"{path.name} has been cut short"):
            log.next(1 << 20)
    log.close()


def test_what_fills_the_last_block_after_a_kill_is_no_damage(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    append(log, b"one").result(10)
    [path] = tmp_path.glob("*.wal")
    as_killed = path.read_bytes()
    assert len(as_killed) == blocks.BLOCK
    append(log, b"two").result(10)
    log.close()
    assert not path.read_bytes().endswith(b"\0")
    path.write_bytes(as_killed)
    path.with_name(f"{9:012}.wal").write_bytes(as_killed)  # and in a segment that is not the last
    log = open_log(tmp_path)
    assert log.damages == []
    assert [body for _, body in drain(log)] == [b"one", b"one"]
    log.close()


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from clew.errors import StoreUnavailable
from clew.observe.ingest.wal import Log, Position
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
log = Log(Path(sys.argv[1]), limit_bytes=1 << 30, after=Position(0, 0), noted=lambda heads: None)
acknowledged = refused = 0
for number in range(20):
    try:
        log.append("traces", "protobuf", "x", 1, bytes([number]) * 1000, {}).result(10)
        acknowledged += 1
    except StoreUnavailable as error:
        assert "File too large" in str(error), error
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
log.append("traces", "protobuf", "x", 1, b"room again", {}).result(10)
log.close()
print(acknowledged, refused)
"""


def test_on_a_full_disk_what_was_acknowledged_stays_and_the_rest_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, tmp_path], capture_output=True, text=True, check=True)
    acknowledged, refused = map(int, done.stdout.split())
    assert acknowledged + refused == 20
    assert refused > 5
    log = open_log(tmp_path)
    assert [body for _, body in drain(log)] == [bytes([number]) * 1000 for number in range(acknowledged)] + [b"room again"]
    log.close()


KILLED = """
import os, sys
from pathlib import Path
from clew.observe.ingest.wal import Log, Position
log = Log(Path(sys.argv[1]), limit_bytes=1 << 30, after=Position(0, 0), noted=lambda heads: None)
for number in range(10**9):
    log.append("traces", "protobuf", "x", 1, b"%d" % number, {}).result(10)
    os.write(1, b"%d\\n" % number)
"""


def test_a_killed_writer_has_lost_nothing_that_it_acknowledged(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", KILLED, tmp_path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        said: list[Any] = []
        for line in process.stdout:
            said.append(int(line))
            if len(said) == 50:
                process.kill()
    log = open_log(tmp_path)
    found = [int(body) for _, body in drain(log)]
    assert found[: len(said)] == said
    assert len(found) - len(said) <= 1
    log.close()
