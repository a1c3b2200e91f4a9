"""What only the whole trace tells: which usage is leaf usage, which agent a call belongs to, where a failure began, which spans arrived twice
and differently.

*Leaf rule.* A model call is every span of kind llm without an llm descendant, with usage or not, and any other span with usage none of
whose descendants has usage. The rest of the spans with usage only repeat what their descendants spent: they are *shadowed*.

The settler re-reads the traces that were touched since it last ran, each span once, and notes the exceptions; everything else follows from
the span alone. Running it again changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from clew.observe.store import failures, rollups, totals
from clew.observe.store.normalise import DAY, SPAN_COLUMNS
from clew.observe.store.pricing import REFUSED

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from clew.observe.store.store import Store

CHUNK = 2_000_000
"""Most spans that are settled at once; 60 bytes each."""

MARKS = 10_000
"""Most rows of ``touched`` that are named in one statement: twenty digits each, of the 256 KiB that one may have."""

FEW = 100
"""Traces that are found faster by the index on trace ids than by reading every trace id of their time."""

RANK = ("version", "start_ns", "content_hash")
"""The version of a span that holds is the one with the highest of these: ended before started, later arrival before earlier; the rest only
breaks ties."""
_RANK = f"({', '.join(RANK)})"


class Verdict(NamedTuple):
    """For each span, in the order given."""

    shadowed: NDArray[np.bool_]
    owner: NDArray[np.int64]
    """Index of the nearest span, itself included, that names an agent; -1 when there is none."""


def decide(
    ids: NDArray[np.uint64], parents: NDArray[np.uint64], llm: NDArray[np.bool_], usage: NDArray[np.bool_], named: NDArray[np.bool_]
) -> Verdict:
    """The leaf rule and the agents' inheritance over any number of traces.

    :param ids: one number per span, each span once
    :param parents: the parent's number; what is not among ``ids`` is no parent, nor is a span its own
    :param llm: whether the span is of kind llm
    :param usage: whether it carries usage
    :param named: whether it names an agent

    Linear in the number of spans but for the look-up of parents; cycles, which no sound sender makes, end.
    """
    import numpy as np

    order = np.argsort(ids)
    at = np.searchsorted(ids, parents, sorter=order).clip(0, max(len(ids) - 1, 0))
    parent = np.where((ids[order[at]] == parents) & (ids != parents), order[at], -1) if len(ids) else np.empty(0, np.int64)

    def above(marked: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which spans have a marked descendant."""
        found = np.zeros(len(ids), np.bool_)
        front = np.unique(parent[marked])
        while True:
            front = front[front >= 0]
            front = front[~found[front]]
            if not len(front):
                return found
            found[front] = True
            front = np.unique(parent[front])

    shadowed = (llm & above(llm)) | (~llm & usage & above(usage))
    owner = np.where(named, np.arange(len(ids)), parent)
    for _ in range(64):  # pointer jumping: each round doubles the distance; 2^64 exceeds any depth
        step = np.where((owner >= 0) & ~named[owner], owner[owner], owner)
        if np.array_equal(step, owner):
            break
        owner = step
    return Verdict(shadowed, np.where((owner >= 0) & named[owner], owner, -1))


def touch(store: Store, where: str, parameters: Mapping[str, Any] | None = None) -> None:
    """Has the traces of these spans settled again, and their minutes rolled up again: call it before the spans are removed, and settle()
    after, with ``store.ingesting`` held all the while.

    :param where: a condition on ``span_records``
    """
    rollups.touch(store, f"span_records WHERE {where}", parameters)
    store.has_removed = True
    store.command(
        f"INSERT INTO touched (trace_id, minute) SELECT DISTINCT trace_id, {rollups.MINUTE} FROM span_records WHERE {where}", parameters
    )


def settle(store: Store) -> int:
    """Settles the traces touched since the last call, and counts what came in where metrics are kept; gives back how many spans they have.
    Call it with ``store.ingesting`` held and nothing being inserted; beside inserts, see Touched."""
    return Touched.alone(store).settle()


class Touched(NamedTuple):
    """What was touched until one moment. What is inserted after it is touched anew, so inserts may go on while this is settled, once those
    that had begun at that moment have ended: they may have touched a trace before its spans were there."""

    store: Store
    table: str
    marks: list[int]
    """The rows of the table that are meant, where others add to it meanwhile."""

    @classmethod
    def now(cls, store: Store) -> Touched:
        """Takes over from an earlier one that was not settled to its end."""
        if store.engine.placement.is_shared:
            return cls(
                store, "touched", [mark for (mark,) in store.query("SELECT mark FROM touched").result_rows] if store.engine.settles else []
            )
        if not store.has(rollups.SETTLING):
            store.make(rollups.SETTLING)
        store.command(f"ALTER TABLE touched MOVE PARTITION tuple() TO TABLE {rollups.SETTLING}")
        return cls(store, rollups.SETTLING, [])

    @classmethod
    def alone(cls, store: Store) -> Touched:
        """The same where nothing is inserted before it is settled, which takes no second table."""
        if store.engine.placement.is_shared or store.has(rollups.SETTLING):
            return cls.now(store)
        return cls(store, "touched", [])

    def settle(self) -> int:
        """As the function of this name. Only one is settled at a time, with ``store.ingesting`` held all the while."""
        store, table = self.store, self.table
        if not store.engine.settles:
            return 0
        kept = totals.of(store)
        if kept is not None:
            kept.count_points()
        touched = f"trace_id IN (SELECT trace_id FROM {table})"
        rollups.touch_arrived(store, table)
        traces, first, last = store.query(
            f"SELECT uniqExact(trace_id), min(first_ns), max(last_ns) FROM traces WHERE {touched}"
        ).result_rows[0]
        # Their range of the table; within it the index on trace ids pays for few traces only.
        within = f"start_ns BETWEEN {first} AND {last} AND "
        use = f" SETTINGS use_skip_indexes = {int(traces <= FEW)}"
        most = store.value(f"SELECT count() FROM span_records WHERE {within}1{use}")
        if most > CHUNK:  # to count just those of the traces takes longer
            most = store.value(f"SELECT count() FROM span_records WHERE {within}{touched}{use}")
        chunks = -(-most // CHUNK)  # none of traces that are gone
        total = 0
        for chunk in range(chunks):
            some = touched if chunks == 1 else f"trace_id IN (SELECT trace_id FROM {table} WHERE cityHash64(trace_id) % {chunks} = {chunk})"
            total += _Chunk(store, table, within + some, some, use).settle()
            if kept is not None:
                kept.count_spans(within + some, some)
        self._remove()
        if total:
            store.has_stale = True
        return total

    def _remove(self) -> None:
        if not self.store.engine.placement.is_shared:
            if self.store.value(f"SELECT count() FROM {self.table}"):
                self.store.empty(self.table)
            return
        table = self.store.engine.placement.kept(self.table)
        for first in range(0, len(self.marks), MARKS):
            self.store.command(f"DELETE FROM {table} WHERE mark IN ({', '.join(map(str, self.marks[first : first + MARKS]))})")


def _repeats(ids: NDArray[np.uint64]) -> bool:
    import numpy as np

    ordered = np.sort(ids)
    return bool((ordered[1:] == ordered[:-1]).any())


class _Chunk(NamedTuple):
    """Some of the touched traces: the conditions that say which in span_records and in settled, and the settings to read them with."""

    store: Store
    table: str
    """Which traces and minutes are touched."""
    where: str
    settled: str
    use: str

    def settle(self) -> int:
        """Gives back how many spans they have."""
        spans = "span_records"  # as a rule each is there once, and then FINAL is for nothing
        columns = self._columns(spans)
        if not columns:
            return 0
        if _repeats(columns["id"]):
            self._note_conflicts()
            spans = "span_records FINAL"
            columns = self._columns(spans)
            if _repeats(columns["id"]):
                self._retire()
                columns = self._columns(spans)
        self._note(spans, columns)
        if columns["failed"].any() or self.store.value(f"SELECT count() FROM failures WHERE {self.where}"):
            failures.note(self.store, spans, self.where, self.settled, self.use)
        return len(columns["id"])

    def _note_conflicts(self) -> None:
        self.store.command(
            "INSERT INTO conflicts SELECT trace_id, span_id, arrayJoin(arrayFilter(h -> h != kept, hashes)), day FROM ("
            f"SELECT trace_id, span_id, argMax(content_hash, {_RANK}) AS kept, groupUniqArray(content_hash) AS hashes, max({DAY}) AS day "
            f"FROM span_records WHERE {self.where} AND end_ns > 0 GROUP BY trace_id, span_id HAVING length(hashes) > 1){self.use}"
        )

    def _columns(self, spans: str) -> dict[str, NDArray[Any]]:
        return self.store.columns(
            "SELECT sipHash64(trace_id, span_id) AS id, sipHash64(trace_id, parent_span_id) AS parent, "
            f"kind = 'llm' AND NOT {REFUSED} AS llm, (isNotNull(input_tokens) OR isNotNull(output_tokens)) AND NOT {REFUSED} AS usage, "
            "agent != '' OR kind = 'agent' AS named, "
            f"agent = '' AND kind != 'agent' AS orphan, status = 'error' AS failed FROM {spans} WHERE NOT retired AND {self.where}{self.use}"
        )

    def _retire(self) -> None:
        """Versions of a span that start in different seconds have different keys, so the table keeps them all: all but one are retired."""
        names = [name for name, _ in SPAN_COLUMNS if name != "retired"]
        lower = (
            f"(SELECT *, {_RANK} AS rank, max(rank) OVER (PARTITION BY trace_id, span_id) AS highest "
            f"FROM span_records FINAL WHERE {self.where}) WHERE rank != highest{self.use}"
        )
        rollups.touch(self.store, lower)
        self.store.command(f"INSERT INTO span_records ({', '.join(names)}, retired) SELECT {', '.join(names)}, 1 FROM {lower}")

    def _note(self, spans: str, columns: dict[str, NDArray[Any]]) -> None:
        import numpy as np

        flag: Any = np.bool_
        ids = columns["id"]
        verdict = decide(ids, columns["parent"], *(columns[name].astype(flag) for name in ("llm", "usage", "named")))
        inherits = columns["orphan"].astype(flag) & (verdict.owner >= 0) & (verdict.owner != np.arange(len(verdict.owner)))
        noted = np.flatnonzero(verdict.shadowed | inherits)
        notes_of = np.empty(len(noted), [("id", "<u8"), ("shadowed", "u1"), ("owner", "<u8")])
        notes_of["id"], notes_of["shadowed"] = ids[noted], verdict.shadowed[noted]
        notes_of["owner"] = np.where(inherits[noted], ids[verdict.owner[noted]], 0)
        now = time.time_ns()
        store, where = self.store, self.where
        store.command("TRUNCATE TABLE verdicts")
        store.insert_array("verdicts", notes_of)
        notes = (
            f"SELECT trace_id, span_id, {now + 1} AS settled_ns, v.shadowed AS shadowed, o.label AS agent, day FROM ("
            f"SELECT trace_id, span_id, sipHash64(trace_id, span_id) AS id, {DAY} AS day FROM {spans} WHERE NOT retired AND {where} AND id IN (SELECT id FROM verdicts)) AS s "
            "INNER JOIN verdicts AS v ON s.id = v.id "
            f"LEFT JOIN (SELECT sipHash64(trace_id, span_id) AS id, if(agent != '', agent, name) AS label FROM {spans} WHERE NOT retired AND {where} "
            f"AND id IN (SELECT owner FROM verdicts)) AS o ON v.owner = o.id"
        )
        self._touch_changed(notes)
        store.command(
            # Earlier notes on these traces that no longer hold are replaced by empty ones.
            f"INSERT INTO settled SELECT trace_id, span_id, {now}, false, '', day FROM settled FINAL WHERE {self.settled} AND (shadowed OR agent != '')"
        )
        store.command(f"INSERT INTO settled {notes}{self.use}")

    def _touch_changed(self, notes: str) -> None:
        """What arrived may change what is known of spans that were there before, in other minutes."""
        before = f"span_records WHERE {self.where} AND {rollups.MINUTE} NOT IN (SELECT minute FROM {self.table})"
        if not rollups.exist(self.store) or not self.store.value(f"SELECT count() FROM {before}{self.use}"):
            return
        rollups.touch(
            self.store,
            f"{before} AND (trace_id, span_id) IN (SELECT trace_id, span_id FROM ("
            f"SELECT trace_id, span_id, shadowed, toString(agent) AS agent FROM settled FINAL WHERE {self.settled} AND (shadowed OR agent != '') "
            f"UNION ALL SELECT trace_id, span_id, shadowed, toString(agent) FROM ({notes})) "
            f"GROUP BY trace_id, span_id HAVING count() = 1 OR uniqExact(shadowed, agent) > 1){self.use}",
        )
