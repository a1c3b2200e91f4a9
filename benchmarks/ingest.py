"""Import of generated agent spans with text content into a fresh data directory, full-text indexed, then searches in them.

What is timed is ``clew.observe.ingest.files.import_file`` on an opened store, in a process of its own, as ``clew import`` runs it: from
the first byte read until the last span is answered by a query. Then the same process asks the searches of searches.py, while the merges
of the import run and again when they are done.

    python benchmarks/ingest.py [--spans N] [--json] [--peer phoenix]

The goals are printed as met or missed, never asserted: the machine may have other work, which the load average beside the figures shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import searches
import spans

from clew.observe.ingest.files import import_file
from clew.observe.query.search import search
from clew.observe.store.store import Store

GOAL_RATE = 100_000
LEAST_RATE = 50_000
GOAL_SEARCH_MS = 50.0
QUIET_S = 2.0
"""Merges are done when none has run for so long: one that ends may start the next."""
REMOVAL_S = 60.0
"""Longest wait for the removal of what merges have replaced: a data directory that is used for longer does not hold it."""


def generate(path: Path, count: int) -> None:
    """Writes the spans as the OpenTelemetry collector's file exporter frames requests: four bytes of length, then the request."""
    with path.open("wb") as file:
        for request in spans.requests(count):
            file.write(len(request).to_bytes(4, "big") + request)


def directory_bytes(path: Path) -> int:
    return sum(file.stat().st_blocks * 512 for file in path.rglob("*") if file.is_file())


def parts(store: Store) -> dict[str, int]:
    return store.pairs(
        "SELECT table, count() FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table ORDER BY table"
    )


class Merges:
    """Watches the background merges from the moment it is made."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._start = self._last = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while time.monotonic() - self._last < QUIET_S:
            if self._store.value("SELECT count() FROM system.merges"):
                self._last = time.monotonic()
            time.sleep(0.2)

    def wait(self) -> float:
        """Waits until they are done; gives back how many seconds after the import that was."""
        self._thread.join()
        return self._last - self._start


def removed(store: Store) -> bool:
    """Waits until the parts that merges have replaced are gone; gives back whether they were in time."""
    deadline = time.monotonic() + REMOVAL_S
    while store.value("SELECT count() FROM system.parts WHERE NOT active AND database = currentDatabase()"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def measure(path: Path, data_dir: Path, count: int) -> dict[str, Any]:
    """One import into the fresh directory, and the searches; run in a process of its own."""
    asked = searches.families(path)
    *_, (offset, length) = searches.frames(path)
    with path.open("rb") as file:
        file.seek(offset)
        last = spans.ExportTraceServiceRequest.FromString(file.read(length)).resource_spans[0].scope_spans[0].spans[-1]
    with Store.open(data_dir) as store:
        before, start = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        taken = import_file(store, path)
        imported = time.perf_counter() - start
        if not search(store, f"span:{last.span_id.hex()} run:{last.trace_id.hex()}").hits:
            raise SystemExit("the last span is not there")
        queryable = time.perf_counter() - start
        used = resource.getrusage(resource.RUSAGE_SELF)
        cpu = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
        figures: dict[str, Any] = {
            "imported_s": imported,
            "queryable_s": queryable,
            "spans_per_s": count / queryable,
            "cpu_us_per_span": cpu / count * 1e6,
            "cores_used": cpu / queryable,
            "max_rss_mib": used.ru_maxrss / 1024,
            "parts_at_once": parts(store),
            "bytes_per_span_at_once": directory_bytes(data_dir) / count,
        }
        merges = Merges(store)
        figures["search_at_once"] = searches.measure(store, asked)
        figures["merges_s"] = merges.wait()
        figures["parts_merged"] = parts(store)
        figures["search_merged"] = searches.measure(store, asked)
        stored = store.value("SELECT count() FROM spans")
        if stored != count or taken.spans != count or taken.faulty:
            raise SystemExit(f"{count} spans were written, {taken.spans} taken, {taken.faulty} refused, {stored} stored")
        figures["replaced_parts_removed"] = removed(store)
        figures["bytes_per_span_by_table"] = store.pairs(
            f"SELECT table, sum(bytes_on_disk) / {count} FROM system.parts WHERE active AND database = currentDatabase() GROUP BY table"
        )
        figures["max_rss_after_search_mib"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    size = directory_bytes(data_dir)
    return {**figures, "bytes_per_span": size / count, "share_of_protobuf": size / path.stat().st_size}


def goals(figures: dict[str, Any]) -> dict[str, bool]:
    found = {
        f"{GOAL_RATE:,} spans/s": figures["spans_per_s"] >= GOAL_RATE,
        f"at least {LEAST_RATE:,} spans/s": figures["spans_per_s"] >= LEAST_RATE,
    }
    for when, key in (("while merges run", "search_at_once"), ("merges done", "search_merged")):
        for family, search_figures in figures[key].items():
            found[f"p95 < {GOAL_SEARCH_MS:.0f} ms, {when}: {family}"] = search_figures["p95_ms"] < GOAL_SEARCH_MS
    return found


def report(document: dict[str, Any]) -> None:
    figures, machine = document["clew"], document["machine"]
    before, after = machine["load_average"]
    print(
        f"{machine['spans']:,} spans of {machine['bytes_on_the_wire']:.0f} bytes (protobuf), {machine['cpus']} CPUs, load {before:.1f} → {after:.1f}"
    )
    print(
        f"{'acknowledged and queryable':32}{figures['spans_per_s']:12,.0f} spans/s   ({figures['queryable_s']:.1f} s, {figures['cores_used']:.2f} cores)"
    )
    print(f"{'CPU':32}{figures['cpu_us_per_span']:12.1f} µs per span")
    print(f"{'data directory':32}{figures['bytes_per_span']:12.0f} bytes per span ({figures['share_of_protobuf']:.0%} of the protobuf)")
    tables = sorted(figures["bytes_per_span_by_table"].items(), key=lambda item: -item[1])
    print(
        f"{'':32}{figures['bytes_per_span_at_once']:12.0f} before merges; at the end "
        + ", ".join(f"{name} {size:.0f}" for name, size in tables[:3])
    )
    if not figures["replaced_parts_removed"]:
        print(f"{'':44} (parts that merges have replaced are still in it)")
    print(
        f"{'memory at the end of the import':32}{figures['max_rss_mib']:12.0f} MiB at most ({figures['max_rss_after_search_mib']:.0f} with the searches)"
    )
    count = [sum(figures[key].values()) for key in ("parts_at_once", "parts_merged")]
    print(f"{'merges afterwards':32}{figures['merges_s']:12.1f} s after it ({count[0]} parts → {count[1]})")
    print(f"\n{'search, ms':38}{'values':>8}{'found':>8}{'p50':>8}{'p95':>8}   merged:{'p50':>6}{'p95':>8}")
    for family, at_once in figures["search_at_once"].items():
        then = figures["search_merged"][family]
        print(
            f"{family:38}{at_once['values']:8}{at_once['found']:8.0f}{at_once['p50_ms']:8.1f}{at_once['p95_ms']:8.1f}"
            f"          {then['p50_ms']:6.1f}{then['p95_ms']:8.1f}"
        )
    if peer := document.get("phoenix"):
        print(
            f"\nPhoenix {peer['version']}: {peer['spans']:,} of the same spans, {peer['spans_per_s']:,.0f} spans/s until they can be queried: ",
            end="",
        )
        print(f"{figures['spans_per_s'] / peer['spans_per_s']:,.0f} times slower; {peer['bytes_per_span']:,.0f} bytes per span")
    print()
    for goal, met in document["goals"].items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")


def run(arguments: argparse.Namespace, folder: Path) -> None:
    path = folder / "spans.binpb"
    print(f"writing {arguments.spans:,} spans", file=sys.stderr)
    generate(path, arguments.spans)
    load = [os.getloadavg()[0]]
    command = [sys.executable, __file__, "--measure", str(path), str(folder / "data"), "--spans", str(arguments.spans)]
    figures = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    load.append(os.getloadavg()[0])
    machine = {
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "load_average": load,
        "spans": arguments.spans,
        "bytes_on_the_wire": path.stat().st_size / arguments.spans,
    }
    document = {"machine": machine, "clew": figures, "goals": goals(figures)}
    if arguments.peer == "phoenix":
        import phoenix_peer

        document["phoenix"] = phoenix_peer.measure(folder)
    report(document)
    if arguments.json:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        (results / "ingest.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=2_000_000)
    parser.add_argument("--json", action="store_true", help="also write benchmarks/results/ingest.json")
    parser.add_argument("--peer", choices=("phoenix",), help="measure this one too, in an environment made for it (needs a package index)")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure, arguments.spans)))
        return
    if arguments.spans < 100_000:
        parser.error("fewer than 100,000 spans say little, and give too few values to search for")
    with tempfile.TemporaryDirectory(prefix="clew-benchmark-") as folder:
        run(arguments, Path(folder))


if __name__ == "__main__":
    main()
