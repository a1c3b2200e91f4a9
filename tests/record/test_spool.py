"""The spool: complete lines in locked files, bounded, and never the program's problem."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.record import spool as spool_module
from clew.record.spool import Spool
from clew.testing import decode, recording

LINE = b"x" * 99 + b"\n"


def files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir(), key=lambda path: int(path.stem.rpartition("-")[2]))


def is_locked(path: Path) -> bool:
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def test_a_file_is_private_named_by_process_and_locked_while_it_grows(tmp_path: Path) -> None:
    directory = tmp_path / "data" / "spool"
    spool = Spool(directory, 1 << 20)
    assert not directory.exists()
    assert spool.write(LINE, 1, starts=False) is None
    (path,) = files(directory)
    assert re.fullmatch(rf"\d{{8}}T\d{{6}}-{os.getpid()}-[0-9a-f]{{8}}-0\.jsonl", path.name)
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(directory.stat().st_mode)) == (0o600, 0o700)
    assert is_locked(path)
    spool.close()
    assert not is_locked(path)
    assert path.read_bytes() == LINE


def test_it_rotates(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 1 << 20, file_bytes=250)
    for _ in range(5):
        assert spool.write(LINE, 1, starts=False) is None
    assert [path.stat().st_size for path in files(tmp_path)] == [200, 200, 100]
    assert [is_locked(path) for path in files(tmp_path)] == [False, False, True]


def test_it_is_bounded_and_goes_on_when_a_reader_has_made_room(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool(tmp_path, 500, file_bytes=250)
    assert [spool.write(LINE, 1, starts=False) for _ in range(8)] == [None] * 5 + ["spool_full"] * 3
    assert caplog.text.count("the spool holds 500 bytes") == 1
    assert not any(is_locked(path) for path in files(tmp_path))  # all can be taken away
    for path in files(tmp_path):
        path.unlink()
    assert spool.write(LINE, 1, starts=False) is None


def test_a_removed_directory_is_made_again(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool", 1 << 20)
    spool.write(LINE, 1, starts=False)
    files(tmp_path / "spool")[0].unlink()
    (tmp_path / "spool").rmdir()
    assert spool.write(LINE, 1, starts=False) is None
    assert files(tmp_path / "spool")[0].read_bytes() == LINE


class FullDisk:
    """os.write that takes some bytes and then none, as a disk that runs full."""

    def __init__(self, room: int) -> None:
        self.room = room

    def __call__(self, file: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = data[: self.room]
        self.room -= len(taken)
        return REAL_WRITE(file, taken)


REAL_WRITE = os.write


def test_a_full_disk_tears_no_line_is_said_once_and_gets_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(spool_module, "RETRY_S", 0.0)
    spool = Spool(tmp_path, 1 << 20)
    disk = FullDisk(250)
    monkeypatch.setattr(os, "write", disk)
    assert [spool.write(LINE, 1, starts=False) for _ in range(5)] == [None, None, "disk", "disk", "disk"]
    disk.room = 1000
    assert spool.write(LINE, 1, starts=False) is None
    assert b"".join(path.read_bytes() for path in files(tmp_path)) == LINE * 3
    assert caplog.text.count("cannot write the spool") == 1
    assert caplog.text.count("is written again") == 1


def test_a_program_on_a_disk_that_cannot_be_written_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    clew.init(data_dir=blocked, console=False)
    try:
        for _ in range(3):
            with clew.tool("t"):
                pass
        assert clew.flush()
        assert clew.stats().dropped == {"disk": 3}
        assert clew.stats().emitted == 3
        assert caplog.text.count("cannot write the spool") == 1
        blocked.unlink()
        writer: Any = clew.record.state.recorder.writer
        writer.sinks[0]._retry_at = 0.0
        with clew.tool("again"):
            pass
        assert clew.flush()
        assert clew.stats().written == 1
    finally:
        end()


def end() -> None:
    clew.shutdown()
    clew.record.state.forget()


def test_the_console_works_when_nothing_else_does(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    caplog.set_level("INFO", "clew.spans")
    clew.init(data_dir=blocked, console=True)
    try:
        with clew.llm("chat", model="gpt-4o") as span:
            span.usage(input_tokens=812, output_tokens=64).cost(0.25)
        with pytest.raises(ValueError, match="sk-"), clew.tool("bad"):
            raise ValueError("rejected sk-proj-Ab3dE6gH9jK2mN5pQ8sT1vW4")
        clew.flush()
    finally:
        end()
    first, second = [record for record in caplog.records if record.name == "clew.spans"]
    assert re.fullmatch(r"llm chat \d+\.\d+ ms ok gpt-4o 812 → 64 tokens \$0\.250000 \[[0-9a-f]{32}/[0-9a-f]{16}\]", first.getMessage())
    assert second.levelname == "WARNING"
    assert "rejected [redacted]" in second.getMessage()


def test_an_open_span_is_written_once_it_has_been_open_longer_than_one_flush() -> None:
    with recording(flush_s=0.5) as record:
        recorder = clew.record.state.recorder
        recorder.run()
        with clew.workflow("long", session="s"):
            recorder.writer._take_turn(everything=False)
            with clew.tool("short"):
                pass
            record.clock.advance(1)
            recorder.writer._take_turn(everything=False)
            recorder.writer._take_turn(everything=False)
            before = [
                (span.name, span.attributes["gen_ai.conversation.id"])
                for line in record._lines.lines
                for span in decode(line)
                if not span.end_ns
            ]
            assert before == [("long", "s")]
        (final,) = [span for span in record.spans if span.name == "long"]
        (start,) = record.starts
        assert (start.span_id, start.start_ns) == (final.span_id, final.start_ns)


def test_the_account_is_written_and_adds_up() -> None:
    with recording(sample=0.0, sample_errors=False) as record:
        with clew.tool("out"):
            pass
        assert record.stats()[:4] == (1, 0, 1, 0)
        record.flush()
        (line,) = record.lines
    entry = json.loads(line)["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]
    assert entry["eventName"] == "clew.recorder.stats"
    assert {pair["key"]: pair["value"]["intValue"] for pair in entry["attributes"]} == {
        "clew.recorder.emitted": "1",
        "clew.recorder.written": "0",
        "clew.recorder.sampled_out": "1",
    }


def test_a_full_queue_drops_and_counts() -> None:
    with recording(queue=10) as record:
        for n in range(25):
            with clew.tool(f"t{n}"):
                pass
        assert record.stats().dropped == {"queue_full": 15}
        assert record.stats().emitted == 25
        assert len(record.spans) == 10


def test_large_spans_are_bounded_in_bytes() -> None:
    with recording(queue_bytes=1_000_000) as record:
        for _ in range(50):
            with clew.tool("t", text="x" * 100_000):
                pass
        stats = record.stats()
        assert 9 <= stats.waiting <= 11
        assert stats.emitted == 50 == stats.waiting + stats.dropped["queue_full"]
        record.flush()
        with clew.tool("t", text="x" * 100_000):  # there is room again
            pass
        assert record.stats().dropped["queue_full"] == stats.dropped["queue_full"]


def test_the_account_is_there_after_the_end(data_dir: Path) -> None:
    clew.init()
    with clew.workflow("w"):
        pass
    assert clew.shutdown()
    assert clew.shutdown()
    assert clew.stats()[:4] == (1, 1, 0, 0)
    clew.init()
    assert clew.stats()[:4] == (0, 0, 0, 0)
    clew.shutdown()
