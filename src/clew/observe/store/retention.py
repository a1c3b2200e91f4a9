"""How long records are kept. They go by whole days of arrival, by dropping partitions: no row is read, and no time to live of a table is used.

A day is dropped when all of it is older than its signal is to be kept, so that records live up to a day longer than that. Days count by
arrival, so importing an old run keeps it. A trace that arrived on both sides of midnight loses its first spans a day before the others;
those that stay have their content, since content lies with the day on which it came, and are settled again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

from clew import settings
from clew.errors import StoreError
from clew.observe.store import removed
from clew.observe.store.normalise import DAY
from clew.observe.store.schema import PART_OF, Placement
from clew.observe.store.settle import settle, touch
from clew.observe.store.store import Store
from clew.wire.sizes import sizes

DAY_S: Final = 86_400

Kind = Literal["traces", "logs", "metrics", "totals"]

DAILY: Final[dict[Kind, tuple[str, ...]]] = {
    "traces": ("span_records", "payloads", "traces", "settled", "failures", "conflicts", "processes", "sketches"),
    "logs": ("log_records",),
    "metrics": ("point_records",),
    "totals": ("counted_totals",),
}
"""The tables that are partitioned by the day of arrival, by signal; the records are in the first. ``totals`` is no signal: it says what the
server's counters have counted, so it stays until neither spans nor points of its day are there to be counted again."""

KEPT: Final = {
    "touched": "is emptied whenever traces are settled",
    "settling": "is emptied whenever traces are settled",
    "rollups": "follows the spans: minutes that lose theirs are written again and swept",
    "rollup_minutes": "has a row for each minute",
    "prices": "has a row for each model",
    "segments": "has a row for each file of the spool that is there",
    "metric_totals": "is what was counted since the store was made, a row for each series",
    "fresh_totals": "is emptied whenever points are counted",
}
"""Tables that retention leaves alone, and why they do not grow."""


class Keep(NamedTuple):
    """How long to keep what; 0: for ever."""

    traces_days: int
    logs_days: int
    metrics_days: int
    bytes: int
    """Most bytes of the whole data directory, and of the tables where they are in a server; 0: no limit."""

    @classmethod
    def of_settings(cls) -> Keep:
        return cls(*(settings.get(f"retention_{name}") for name in ("traces_days", "logs_days", "metrics_days", "bytes")))

    def days(self, signal: Kind) -> int:
        if signal == "totals":
            return max(self.traces_days, self.metrics_days) if self.traces_days and self.metrics_days else 0
        return {"traces": self.traces_days, "logs": self.logs_days, "metrics": self.metrics_days}[signal]


@dataclass(frozen=True, slots=True)
class Day:
    """What arrived on one day."""

    signal: Kind
    day: str
    """YYYY-MM-DD, UTC."""
    records: int
    bytes: int
    """On disk, compressed, with indexes."""
    reason: str = ""
    """Why it goes: ``expired`` or ``over the size cap``; '' when it stays."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one run of retention dropped, or would drop."""

    dropped: list[Day]
    """Oldest first."""
    bytes: int
    """Of the data directory, and of the tables where they are in a server, before."""
    left_over: int
    """Bytes beyond the size cap that stay: today's records are never dropped for it."""


@dataclass(frozen=True, slots=True)
class Retention:
    """How long what is kept, and since when it is there."""

    traces_days: int
    logs_days: int
    metrics_days: int
    cap_bytes: int
    oldest: dict[str, str]
    """Signal -> day of its oldest records, YYYY-MM-DD, when retention last ran."""
    pruned_ns: int
    """When that was; 0: never."""


def days_of(placement: Placement) -> str:
    """The SELECT of the days of some tables."""
    return (
        f"SELECT toString(toDate(partition_id)), sumIf(rows, {PART_OF} = {{first:String}}), sum(bytes_on_disk) FROM {placement.parts} "
        f"WHERE active AND database = currentDatabase() AND {PART_OF} IN {{tables:Array(String)}} GROUP BY partition_id"
    )


def tables_of(placement: Placement) -> str:
    """The SELECT of the tables that have parts of a day, and of how many."""
    return (
        f"SELECT {PART_OF} AS name, count() FROM {placement.parts} "
        "WHERE active AND database = currentDatabase() AND partition_id = {id:String} GROUP BY name"
    )


def drop(placement: Placement, table: str, partition: str) -> str:
    """The statement that takes a day out of a table, on every shard."""
    return f"ALTER TABLE {placement.kept(table)} DROP PARTITION ID '{partition}'"


def days(store: Store) -> list[Day]:
    """Every day of every signal, oldest first."""
    found: dict[tuple[str, Kind], tuple[int, int]] = {}
    for signal, tables in DAILY.items():
        for day, records, size in store.query(days_of(store.engine.placement), {"first": tables[0], "tables": list(tables)}).result_rows:
            found[day, signal] = (records, size)
    return [Day(signal, day, *found[day, signal]) for day, signal in sorted(found)]


def plan(have: list[Day], keep: Keep, *, now_s: float, total_bytes: int) -> Pruned:
    """Which days go.

    :param have: all days, oldest first
    :param total_bytes: of the data directory
    """
    today = _day(now_s)
    expired = [
        replace(day, reason=removed.EXPIRED)
        for day in have
        if keep.days(day.signal) and day.day < _day(now_s - keep.days(day.signal) * DAY_S)
    ]
    gone = {(day.signal, day.day) for day in expired}
    excess = total_bytes - sum(day.bytes for day in expired) - keep.bytes if keep.bytes else 0
    over = []
    for name in sorted({day.day for day in have if day.day < today}):
        if excess > 0:
            whole = [replace(day, reason=removed.OVER_CAP) for day in have if day.day == name and (day.signal, day.day) not in gone]
            over += whole
            excess -= sum(day.bytes for day in whole)
    return Pruned(sorted(expired + over, key=lambda day: (day.day, day.signal)), total_bytes, max(excess, 0))


def prune(store: Store, keep: Keep, *, dry_run: bool = False, now_s: float | None = None) -> Pruned:
    """Drops the days that are over. Idempotent; broken off anywhere, it is done by the next call.

    :param dry_run: only say what would go
    :raises StoreError: of several collectors on one server, another one settles, and so prunes
    :raises StoreUnavailable: it cannot be written
    """
    if not store.engine.settles:
        raise StoreError(f"this collector does not settle {store.engine.name} (CLEW_SETTLE=0): run it beside the one that does")
    now_s = time.time() if now_s is None else now_s
    with store.ingesting:
        have = days(store)
        beside = 0 if store.engine.is_own else sum(day.bytes for day in have)
        pruned = plan(have, keep, now_s=now_s, total_bytes=sum(sizes(store.data_dir).values()) + beside)
        if dry_run:
            return pruned
        for day in pruned.dropped:
            _drop(store, day)
        if any(day.signal == "traces" for day in pruned.dropped):
            settle(store)
        oldest: dict[str, str] = {}
        for day in days(store):
            if day.signal != "totals":
                oldest.setdefault(day.signal, day.day)
        removed.note_pruned(store.data_dir, oldest)
    return pruned


def _drop(store: Store, day: Day) -> None:
    partition = day.day.replace("-", "")
    if day.signal == "traces":
        touch(store, f"{DAY} = '{day.day}'")
    there = store.pairs(tables_of(store.engine.placement), {"id": partition})
    for table in reversed(DAILY[day.signal]):  # the records last: as long as they are there, the day is found again
        if table in there:
            store.command(drop(store.engine.placement, table, partition))
    if day.signal != "totals":
        removed.note(store.data_dir, day.reason, {day.signal: day.records})


def state(data_dir: Path, keep: Keep) -> Retention:
    """How long what is kept, and since when it is there. Asks nothing of the store."""
    noted = removed.removed(data_dir)
    return Retention(*keep, oldest=noted.oldest, pruned_ns=noted.pruned_ns)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
