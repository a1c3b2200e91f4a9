"""What recording programs write to the spool is in the store once, whenever it is looked at and however they end."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from clew.observe.ingest import spool
from clew.observe.ingest.spool import Swept, sweep
from clew.observe.query.health import Loss, health
from clew.observe.query.runs import runs
from clew.observe.store.store import Store

PROCESS = "11111111-2222-3333-4444-555555555555"
RESOURCE = {"service.name": "program", "service.instance.id": PROCESS}


class Segment:
    """A spool file as its process writes it: the lock is held while the process lives."""

    def __init__(self, store: Store, sequence: int = 0, stem: str = "20260101T000000-77-00c0ffee") -> None:
        folder = store.data_dir / "spool"
        folder.mkdir(exist_ok=True)
        self.path = folder / f"{stem}-{sequence}.jsonl"
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        fcntl.flock(self._descriptor, fcntl.LOCK_EX)

    def write(self, data: bytes) -> None:
        os.write(self._descriptor, data)

    def end(self) -> None:
        """The process ends, or goes on to another file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


@pytest.fixture
def segment(store: Store) -> Iterator[Segment]:
    made = Segment(store)
    yield made
    made.end()


def line(otlp: Any, *spans: dict[str, Any], resource: dict[str, Any] = RESOURCE) -> bytes:
    written: bytes = otlp.lines(otlp.traces(*spans, resource=resource))
    return written


def states(store: Store) -> dict[int, str]:
    rows = store.query("SELECT span_id, state FROM spans").result_rows
    assert len({span for span, _ in rows}) == len(rows)
    return {int(span, 16): state for span, state in rows}


def test_a_file_that_grows_is_taken_in_once(store: Store, otlp: Any, segment: Segment) -> None:
    for number in range(1, 6):
        text = line(otlp, otlp.span(2 * number), otlp.span(2 * number + 1))
        segment.write(text[:40])
        assert sweep(store).spans == 0  # the line is still being written
        segment.write(text[40:])
        assert sweep(store) == Swept(1, 2, 0, 0)
        assert sweep(store).spans == 0
        assert len(states(store)) == 2 * number
    assert store.value("SELECT count() FROM span_records") == 10
    assert segment.path.exists()
    segment.end()
    assert sweep(store).spans == 0
    assert not segment.path.exists()
    assert sweep(store) == Swept(0, 0, 0, 0)
    assert store.value("SELECT count() FROM segments FINAL") == 0


def test_a_torn_last_line_waits_while_its_process_lives_and_is_dropped_when_it_is_dead(store: Store, otlp: Any, segment: Segment) -> None:
    torn = line(otlp, otlp.span(2))
    segment.write(line(otlp, otlp.span(1)) + torn[:-30])
    assert sweep(store) == Swept(1, 1, 0, 0)
    assert segment.path.exists()
    segment.end()
    assert sweep(store) == Swept(1, 0, 0, 0)
    assert states(store) == {1: "ended"}
    assert not segment.path.exists()


def test_a_last_line_without_line_end_of_a_dead_process_counts_when_it_is_whole(store: Store, otlp: Any, segment: Segment) -> None:
    segment.write(line(otlp, otlp.span(1)) + line(otlp, otlp.span(2)).rstrip())
    segment.end()
    assert sweep(store) == Swept(1, 2, 0, 0)


def test_a_broken_line_in_the_middle_costs_that_line(store: Store, otlp: Any, segment: Segment) -> None:
    segment.write(line(otlp, otlp.span(1)) + b"{broken}\n" + line(otlp, otlp.span(2)))
    assert sweep(store) == Swept(1, 2, 0, 1)
    assert sweep(store).faulty == 0


def test_a_crash_after_the_insert_and_before_the_note_takes_nothing_in_twice(
    store: Store, otlp: Any, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment.write(
        line(otlp, otlp.span(1, 1, 0, {"gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 5})) + line(otlp, otlp.span(2))
    )

    def crash(table: str, *_: Any) -> None:
        if table == "segments":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store, "insert_rows", crash)
        with pytest.raises(KeyboardInterrupt):
            sweep(store)
    segment.write(line(otlp, otlp.span(3)))
    sweep(store)
    assert states(store) == {1: "ended", 2: "ended", 3: "ended"}
    assert (runs(store)[0].model_calls, runs(store)[0].input_tokens, health(store).conflicts) == (1, 5, 0)


def test_a_crash_before_the_file_is_deleted_takes_nothing_in_twice(
    store: Store, otlp: Any, segment: Segment, monkeypatch: pytest.MonkeyPatch
) -> None:
    segment.write(line(otlp, otlp.span(1)))
    segment.end()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            sweep(store)
    assert states(store) == {1: "ended"}
    sweep(store)
    assert (states(store), segment.path.exists(), health(store).conflicts) == ({1: "ended"}, False, 0)


def open_span(otlp: Any, number: int) -> dict[str, Any]:
    started: dict[str, Any] = otlp.span(number, name="as known at its start") | {"endTimeUnixNano": "0"}
    return started


def test_a_span_is_running_while_its_process_lives_and_lost_when_it_is_dead(store: Store, otlp: Any, segment: Segment) -> None:
    segment.write(line(otlp, open_span(otlp, 1), open_span(otlp, 2)))
    sweep(store)
    assert states(store) == {1: "running", 2: "running"}
    assert runs(store)[0].duration_ns is None
    segment.write(line(otlp, otlp.span(2)))
    sweep(store)
    assert states(store) == {1: "running", 2: "ended"}
    segment.end()
    sweep(store)
    assert states(store) == {1: "lost", 2: "ended"}
    assert (health(store).running, health(store).lost) == (0, 1)
    assert runs(store)[0].state == "lost"


def test_a_process_that_went_on_to_another_file_is_alive(store: Store, otlp: Any, segment: Segment) -> None:
    segment.write(line(otlp, open_span(otlp, 1)))
    later = Segment(store, 1)
    segment.end()
    sweep(store)
    assert not segment.path.exists()
    assert states(store) == {1: "running"}
    later.write(line(otlp, open_span(otlp, 2)))
    later.end()
    sweep(store)
    assert states(store) == {1: "lost", 2: "lost"}


def test_another_process_of_the_same_start_is_told_apart(store: Store, otlp: Any, segment: Segment) -> None:
    other = Segment(store, stem="20260101T000000-78-0badcafe")
    segment.write(line(otlp, open_span(otlp, 1)))
    other.write(line(otlp, open_span(otlp, 2), resource=RESOURCE | {"service.instance.id": "other"}))
    other.end()
    sweep(store)
    assert states(store) == {1: "running", 2: "lost"}


@pytest.mark.parametrize("final_first", [False, True], ids=["start first", "final first"])
@pytest.mark.parametrize("sweeps", [1, 2])
def test_the_final_record_replaces_the_start_record_whichever_arrives_first(
    store: Store, otlp: Any, segment: Segment, final_first: bool, sweeps: int
) -> None:
    records = [line(otlp, open_span(otlp, 1)), line(otlp, otlp.span(1, name="final"))]
    for record in reversed(records) if final_first else records:
        segment.write(record)
        if sweeps == 2:
            sweep(store)
    sweep(store)
    assert store.query("SELECT name, state, duration_ns FROM spans").result_rows == [("final", "ended", otlp.SECOND)]
    assert health(store).conflicts == 0


def stats(otlp: Any, at: int, **counts: int) -> bytes:
    attributes = {f"clew.recorder.{name.replace('__', '.')}": count for name, count in counts.items()}
    record = otlp.log("clew.recorder.stats", attributes, eventName="clew.recorder.stats", timeUnixNano=str(otlp.START + at))
    written: bytes = otlp.lines(otlp.logs(record, resource=RESOURCE))
    return written


def test_the_last_account_of_a_process_says_what_was_lost(store: Store, otlp: Any, segment: Segment) -> None:
    segment.write(stats(otlp, 1, emitted=10, written=10, sampled_out=0))
    segment.write(stats(otlp, 2, emitted=100, written=80, sampled_out=15, dropped__queue_full=4, dropped__disk_full=1))
    sweep(store)
    assert health(store).losses == [Loss(PROCESS, "program", 100, 80, 15, {"queue_full": 4, "disk_full": 1})]
    [loss] = health(store).losses
    assert loss.emitted == loss.written + loss.sampled_out + sum(loss.dropped.values())


def test_what_is_no_segment_is_left_alone(store: Store, otlp: Any, segment: Segment) -> None:
    stranger = segment.path.with_name("notes.txt")
    stranger.write_text("keep me")
    segment.write(b"")
    segment.end()
    assert sweep(store) == Swept(1, 0, 0, 0)
    assert (stranger.read_text(), segment.path.exists()) == ("keep me", False)


def test_a_segment_that_grows_past_what_was_noted_after_a_restart(store: Store, otlp: Any, segment: Segment) -> None:
    """How far it was taken in is kept in the store, not in the process."""
    segment.write(line(otlp, otlp.span(1)))
    sweep(store)
    data_dir = store.data_dir
    store.close()
    segment.write(line(otlp, otlp.span(2)))
    with Store.open(data_dir) as again:
        assert sweep(again) == Swept(1, 1, 0, 0)
        assert states(again) == {1: "ended", 2: "ended"}


def test_the_lock_of_a_living_process_is_not_taken_from_it(store: Store, segment: Segment) -> None:
    sweep(store)
    assert not spool._is_free(segment.path)
    segment.end()
    assert spool._is_free(segment.path)
