"""Questions to a store of 10 or 100 million spans: search, a run by its id, figures over 30 days, and what a dashboard asks when it is opened.

A million generated spans or less are really imported; the engine then multiplies them (INSERT … SELECT), each copy with ids, error ids and
tool call ids of its own and at times of its own, so that the traces lie evenly over 29 days and arrived when they started. Words are
those of the imported ones. Rollups are then written from the spans, as ``clew serve`` does in the background.

    python benchmarks/large.py [--spans N] [--base N] [--values N] [--dir DIR] [--keep] [--json]

--dir is where the store is made (400 bytes a span, and half as much again while the engine merges); with --keep it stays there, and the next run with it
asks at once, or goes on where one that was broken off had come to: a hundred million spans take hours on two cores. The goals are printed as met or
missed, never asserted: the machine may have other work, which the load average beside the figures shows.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import spans
from ingest import directory_bytes, generate
from searches import VALUES, Family, filtered, measure

from clew.observe.ingest.files import import_file
from clew.observe.query.aggregates import aggregate, profiles
from clew.observe.query.costs import costs
from clew.observe.query.runs import page
from clew.observe.query.traces import trace
from clew.observe.store import rollups
from clew.observe.store.store import Store

DAY_NS = 86_400_000_000_000
DAYS = 29
"""One less than what retention keeps."""
SEARCH_MS = {10_000_000: 100.0, 100_000_000: 500.0}
"""Goal for the 95th percentile of searches, by the spans of the store."""
TRACE_NS = spans.SPANS_PER_TRACE * 1_000_000
MERGED_S = 300.0
"""Longest wait for the engine's merges."""
BUILT = "large.json"
BUILDING = "large.building.json"
"""How far the copies have come, while they are made."""


def build(data_dir: Path, count: int, base: int) -> dict[str, Any]:
    """Makes the store; gives back how long it took."""
    path = data_dir.parent / "spans.binpb"
    base = min(base, count) // spans.SPANS_PER_TRACE * spans.SPANS_PER_TRACE
    copies = -(-count // base)
    figures: dict[str, Any] = {}
    building = data_dir / BUILDING
    with Store.open(data_dir) as store:
        store.roll_from = sys.maxsize  # not before all is there
        if not building.exists():
            print(f"importing {base:,} spans", file=sys.stderr)
            generate(path, base)
            import_file(store, path)
            path.unlink()
            set_originals_aside(store)
            building.write_text(json.dumps({"first_ns": time.time_ns() - DAYS * DAY_NS, "copies": 0, "multiplied_s": 0.0}))
        done = json.loads(building.read_text())
        multiply = _Multiply(store, base, copies, done["first_ns"])
        for number in range(done["copies"], copies):  # one that was broken off is the same again
            start = time.perf_counter()
            multiply.copy(number)
            done |= {"copies": number + 1, "multiplied_s": done["multiplied_s"] + time.perf_counter() - start}
            building.write_text(json.dumps(done))
            print(f"\rcopy {number + 1} of {copies}", end="", file=sys.stderr)
        print(file=sys.stderr)
        multiply.drop_originals()
        figures["multiplied_s"] = done["multiplied_s"]
        start = time.perf_counter()
        store.roll_from, rollups.HOUR_QUIET_S = 0, 0.0
        while rollups.roll(store, most_s=60):
            print(f"\rrollups: {rollups.progress(store)}", end="", file=sys.stderr)
        figures["rolled_s"] = time.perf_counter() - start
        print("\nwaiting for merges", file=sys.stderr)
        deadline = time.monotonic() + MERGED_S
        quiet = time.monotonic()
        while time.monotonic() < deadline and time.monotonic() - quiet < 3:
            if store.value("SELECT count() FROM system.merges"):
                quiet = time.monotonic()
            time.sleep(0.5)
    (data_dir / BUILT).write_text(json.dumps(figures))
    building.unlink()
    return figures


def ready(data_dir: Path, count: int, base: int) -> dict[str, Any]:
    """The store that is there, or else a new one; gives back how long it took to make."""
    built = data_dir / BUILT
    made: dict[str, Any] = json.loads(built.read_text()) if built.exists() else build(data_dir, count, base)
    return made


MULTIPLIED = ("span_records", "payloads", "settled", "failures")


def set_originals_aside(store: Store) -> None:
    """What was imported, under names of its own beside empty tables."""
    for table in MULTIPLIED:
        store.command(f"RENAME TABLE {table} TO original_{table}")
        [(made,)] = store.query(f"SHOW CREATE TABLE original_{table}").result_rows
        store.command(made.replace(f"original_{table}", table, 1))
    store.command("TRUNCATE TABLE traces")


class _Multiply:
    """Copies the originals.

    :param first_ns: when the first copy begins
    """

    def __init__(self, store: Store, base: int, copies: int, first_ns: int) -> None:
        self._store = store
        self._first = first_ns
        self._step = DAYS * DAY_NS // copies
        self._stretch = self._step // (base * 1_000_000)
        self._columns = {
            table: [
                name
                for (name,) in store.query(
                    f"SELECT name FROM system.columns WHERE database = currentDatabase() AND table = '{table}'"
                ).result_rows
            ]
            for table in MULTIPLIED
        }

    def copy(self, number: int) -> None:
        def at(column: str) -> str:
            offset = f"toUInt64({column} - {spans.EPOCH_NS})"
            return (
                f"({self._first + number * self._step} + intDiv({offset}, {TRACE_NS}) * {TRACE_NS * self._stretch} + {offset} % {TRACE_NS})"
            )

        def marked(column: str) -> str:
            return f"if({column} = '', '', concat({column}, 'x{number}'))"

        start = at("start_ns")
        trace_id, day = f"lower(hex(sipHash128(trace_id, {number})))", f"toDate(fromUnixTimestamp64Nano(toInt64({start})), 'UTC')"
        new: dict[str, str] = {
            "trace_id": trace_id,
            "span_id": f"lower(leftPad(hex(sipHash64(span_id, {number})), 16, '0'))",
            "parent_span_id": f"if(parent_span_id = '', '', lower(leftPad(hex(sipHash64(parent_span_id, {number})), 16, '0')))",
            "start_ns": start,
            "end_ns": f"{start} + (end_ns - start_ns)",
            "arrival_ns": start,
            "version": f"bitOr(bitShiftLeft(toUInt64(1), 63), {start})",
            "tool_call_id": marked("tool_call_id"),
            "attributes": f"mapApply((k, v) -> (k, if(k = 'gen_ai.tool.call.id', concat(v, 'x{number}'), v)), attributes)",
        }
        began = "(SELECT trace_id, min(start_ns) AS start_ns FROM original_span_records GROUP BY trace_id) AS s USING (trace_id)"
        self._insert("span_records", new, "original_span_records FINAL")
        text = f"replaceRegexpAll(value, 'err[0-9a-f]{{8}}', '\\\\0x{number}')"
        self._insert(
            "payloads", {"trace_id": trace_id, "arrival_ns": start, "value": text}, f"original_payloads AS p FINAL INNER JOIN {began}"
        )
        self._insert(
            "settled", {"trace_id": trace_id, "span_id": new["span_id"], "day": day}, f"original_settled AS p FINAL INNER JOIN {began}"
        )
        dated = {name: new[name] for name in ("trace_id", "span_id", "start_ns")} | {"day": day}
        self._insert("failures", dated, "original_failures FINAL")
        self._store.command(
            f"INSERT INTO traces SELECT {trace_id} AS id, min({start}), max({start}), {day} AS day FROM original_span_records GROUP BY id, day"
            " SETTINGS max_partitions_per_insert_block = 0"
        )

    def _insert(self, table: str, new: dict[str, str], source: str) -> None:
        names = self._columns[table]
        selected = ", ".join(f"{new[name]} AS new_{name}" if name in new else name for name in names)
        self._store.command(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {selected} FROM {source} SETTINGS max_partitions_per_insert_block = 0"
        )

    def drop_originals(self) -> None:
        for table in MULTIPLIED:
            self._store.command(f"DROP TABLE IF EXISTS original_{table} SYNC")


def families(store: Store) -> list[Family]:
    """The questions, each with values from all over the store."""
    rnd = random.Random(1)

    def some(sql: str) -> list[str]:
        found = [value for (value,) in store.query(f"{sql} LIMIT {VALUES * 20}").result_rows]
        return rnd.sample(sorted(set(found)), min(VALUES, len(set(found))))

    call_ids = some("SELECT tool_call_id FROM span_records WHERE tool_call_id != '' AND cityHash64(span_id) % 997 = 0")
    traces = some("SELECT trace_id FROM traces WHERE cityHash64(trace_id) % 97 = 0")
    rare = some("SELECT extract(value, 'err[0-9a-f]{8}x[0-9]+') AS e FROM payloads WHERE cityHash64(trace_id) % 97 = 0 AND e != ''")
    agents = [f"agent-{number}" for number in range(20)]
    days = [f"since:{hours}h" for hours in range(24 * DAYS, 24 * DAYS - VALUES // 2, -1)]
    short = [f"since:{hours}h" for hours in range(24, 24 + VALUES // 2)]
    keys = ("model", "agent", "service", "tool", "name", "kind", "status", "provider")
    labelled = [(day, keys[place % len(keys)]) for place, day in enumerate(days)]
    failed = [f"status:error agent:{agent} {since}" for agent, since in zip(agents, short, strict=True)]

    def dashboard(store: Store, since: str) -> int:
        rows = aggregate(store, since, bucket="1h").rows
        for by in ("model", "agent", "error"):
            aggregate(store, since, by=by)
        costs(store, by="model", where=since)
        page(store, limit=50)
        return len(rows)

    return [
        Family("attribute, rare: a tool call id", call_ids, filtered("@gen_ai.tool.call.id:{}")),
        Family("attribute, common: a tool's name", list(spans.TOOLS), filtered("@gen_ai.tool.name:{}")),
        Family("text, rare: an error id", rare, filtered("{}")),
        Family("text, a word in 1 % of the spans", spans.WORDS[700 : 700 + VALUES], filtered("{}")),
        Family("text, a word in 10 to 50 %", spans.WORDS[:VALUES], filtered("{}")),
        Family("errors of an agent in a day", failed, filtered("{}")),
        Family("run: its spans by search", traces, filtered("run:{}")),
        Family("run: the whole of it", traces[::-1], lambda store, run: len(trace(store, run).spans)),
        Family("figures of 29 days", days, lambda store, since: len(aggregate(store, since).rows)),
        Family("figures of 29 days by a label", labelled, lambda store, asked: len(aggregate(store, asked[0], by=asked[1]).rows)),
        Family(
            "figures of 29 days by model and day", days, lambda store, since: len(aggregate(store, since, by="model", bucket="1d").rows)
        ),
        Family(
            "errors of 29 days by agent and hour",
            days,
            lambda store, since: len(aggregate(store, f"{since} status:error", by="agent", bucket="1h").rows),
        ),
        Family("costs of 29 days by model", days, lambda store, since: len(costs(store, by="model", where=since).rows)),
        Family("costs by day, of all time", list(range(20)), lambda store, _: len(costs(store, by="day").rows)),
        Family("profiles of 29 days", days, lambda store, since: len(profiles(store, since).profiles)),
        Family("dashboard of a day: six questions", short, dashboard),
        Family("dashboard of 29 days: six questions", days, dashboard),
    ]


def run(data_dir: Path, count: int, base: int, values: int) -> dict[str, Any]:
    load = [os.getloadavg()[0]]
    figures = ready(data_dir, count, base)
    with Store.open(data_dir) as store:
        figures["spans"] = store.rows_in("span_records")
        figures["rollups"] = rollups.progress(store)
        figures["rows"] = {table: store.rows_in(table) for table in ("span_records", "payloads", "rollups")}
        figures["bytes_by_table"] = store.pairs(
            "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
        )
        figures["questions"] = measure(store, [replace(one, values=one.values[:values]) for one in families(store)])
        figures["max_rss_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    figures["bytes"] = directory_bytes(data_dir)
    figures["load_average"] = [*load, os.getloadavg()[0]]
    return figures


def report(figures: dict[str, Any]) -> None:
    count = figures["spans"]
    before, after = figures["load_average"]
    print(f"{count:,} spans over {DAYS} days, {os.cpu_count()} CPUs, load {before:.1f} → {after:.1f}")
    print(f"multiplied in {figures['multiplied_s']:.0f} s, rolled up in {figures['rolled_s']:.0f} s ({figures['rows']['rollups']:,} rows)")
    tables = sorted(figures["bytes_by_table"].items(), key=lambda item: -item[1])
    shares = ", ".join(f"{name} {size / count:.0f}" for name, size in tables[:5])
    print(f"on disk {figures['bytes'] / 1e9:.2f} GB, {figures['bytes'] / count:.0f} bytes per span ({shares})")
    print(f"memory at most {figures['max_rss_mib']:.0f} MiB\n")
    print(f"{'milliseconds':42}{'values':>8}{'found':>8}{'p50':>9}{'p95':>9}")
    goal = next((ms for most, ms in SEARCH_MS.items() if count <= most), max(SEARCH_MS.values()))
    for name, one in figures["questions"].items():
        verdict = "met" if one["p95_ms"] < goal else "MISSED"
        print(f"{name:42}{one['values']:8}{one['found']:8.0f}{one['p50_ms']:9.1f}{one['p95_ms']:9.1f}   p95 < {goal:.0f} ms: {verdict}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How large the store is, and where."""
    parser.add_argument("--spans", type=int, default=10_000_000)
    parser.add_argument("--base", type=int, default=200_000, help="how many of them are really imported, and multiplied (200000)")
    parser.add_argument("--dir", type=Path, help="where the store is made; default: the directory for temporary files")
    parser.add_argument("--keep", action="store_true", help="keep the store in --dir, and use the one that is there")


@contextmanager
def folder(arguments: argparse.Namespace) -> Iterator[Path]:
    """Where the store is, by these arguments; removed at the end unless it is kept."""
    parent: Path | None = arguments.dir
    if arguments.keep:
        if parent is None:
            raise SystemExit("--keep needs --dir")
        parent.mkdir(parents=True, exist_ok=True)
        yield parent
        return
    with tempfile.TemporaryDirectory(prefix="clew-large-", dir=parent) as made:
        yield Path(made)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--values", type=int, default=VALUES, help=f"most values that each kind of question is asked with ({VALUES})")
    parser.add_argument("--json", action="store_true", help="also write benchmarks/results/large.json")
    arguments = parser.parse_args()
    with folder(arguments) as made:
        figures = run(made / "data", arguments.spans, arguments.base, arguments.values)
    report(figures)
    if arguments.json:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "large.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
