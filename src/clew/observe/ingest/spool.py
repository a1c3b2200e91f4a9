"""Spool segments into the store, each record exactly once."""

from __future__ import annotations

import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path

from clew.errors import MalformedRecord
from clew.model.attributes import DETACHED
from clew.observe.ingest.intake import Intake
from clew.observe.store.prices import refresh_prices
from clew.observe.store.store import Store
from clew.wire.check import check_json
from clew.wire.sizes import sizes


@dataclass(frozen=True, slots=True)
class Swept:
    """What one sweep took in."""

    files: int
    spans: int
    logs: int
    faulty: int


def sweep(store: Store, *, compact: bool = True) -> Swept:
    """Takes in what recording processes have written since the last sweep; deletes segments of dead processes once taken.

    Prices are brought up to date too, so that a changed override file counts from the next question on.

    Idempotent. A crash at any point repeats at worst the same records, which identity makes one: how far a segment was taken is noted
    after its records are stored, and it is deleted after that.

    :param compact: merge small tables at once, for an owner that will not stay
    """
    folder = store.data_dir / "spool"
    segments = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    with store.ingesting:
        if not segments:
            refresh_prices(store)
            return Swept(0, 0, 0, 0)
        taken = {row["name"]: row["taken_bytes"] for row in store.rows("SELECT name, taken_bytes FROM segments FINAL")}
        swept = [_take(store, path, taken.get(path.name, 0), compact=compact) for path in segments]
        _forget(store, {path.name for path in segments if path.exists()}, set(taken))
    return Swept(len(swept), sum(s.spans for s in swept), sum(s.logs for s in swept), sum(s.faulty for s in swept))


class Watch:
    """Sweeps when there is something new, and else only lists a folder: for a server that looks every second."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._seen: dict[Path, int] = {}

    def look(self) -> Swept | None:
        """What a sweep took in; None when nothing has been written and no process has ended since the last look."""
        found = sizes(self._store.data_dir / "spool", ".jsonl")
        if all(self._seen.get(path) == size for path, size in found.items()) and not any(map(_is_free, found)):
            self._seen = found
            return None
        swept = sweep(self._store, compact=False)
        self._seen = found
        return swept


def _take(store: Store, path: Path, offset: int, *, compact: bool) -> Swept:
    finished = _is_free(path)  # asked before reading: what is written until then is read
    with path.open("rb") as stream, Intake(store, sender=f"spool:{path.name}", compact=compact) as intake:
        stream.seek(offset)
        number, end = offset, offset
        for line in stream:
            if not line.endswith(b"\n") and not finished:
                break  # still being written
            number += 1
            end += len(line)
            if line.strip():
                try:
                    intake.add(number, check_json(line), "json")
                except MalformedRecord as error:
                    if line.endswith(b"\n"):  # a torn last line is what a kill leaves
                        intake.fault(number, str(error))
    if finished:
        _end_process(store, path)
        path.unlink()
    elif end > offset:
        store.insert_rows("segments", ["name", "taken_bytes", "taken_ns"], [(path.name, end, time.time_ns())])
    return Swept(1, intake.stored["traces"], intake.stored["logs"], intake.faulty)


def _is_free(path: Path) -> bool:
    """Whether the process that wrote the segment is gone, or has gone on to another: it holds a lock on what it writes."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _end_process(store: Store, path: Path) -> None:
    """Notes that the process has ended, once none of its segments is left: what it left open is lost, unless another process is to end it."""
    stem = path.name.rpartition("-")[0]
    if any(not _is_free(other) for other in path.parent.glob(f"{stem}-*.jsonl") if other != path):
        return
    for records in ("span_records", "point_records"):
        store.command(
            f"INSERT INTO processes SELECT DISTINCT process, {{now:UInt64}} FROM {records} WHERE sender LIKE {{sender:String}} AND process != '' "
            "AND resource[{detached:String}] != 'true'",
            {"now": time.time_ns(), "sender": f"spool:{stem}-%", "detached": DETACHED},
        )


def _forget(store: Store, present: set[str], noted: set[str]) -> None:
    """Drops the notes on segments that are gone."""
    gone = [name for name in noted if name not in present]
    if gone:
        store.command("DELETE FROM segments WHERE name IN {gone:Array(String)}", {"gone": gone})
