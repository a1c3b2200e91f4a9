"""A recording process that is killed at any moment: what it had handed over is in the store once, what it left open shows as lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

from clew.observe.ingest.spool import sweep
from clew.observe.query.health import health
from clew.observe.query.search import search
from clew.observe.store.store import Store

KILLS = int(os.environ.get("KILLS", "10"))

PROGRAM = """
import itertools, sys, clew
name = sys.argv[1]
clew.init(flush_s=0.01)
with clew.workflow(name, service=name):
    clew.flush()
    for number in itertools.count():
        with clew.tool(f"{name} {number}", arguments={"number": number}):
            pass
        if number % 7 == 0 and clew.flush():
            print(number, flush=True)
"""
"""Says after each flush up to which of its spans everything was handed to the writer."""


def run_and_kill(name: str, data_dir: Path, rnd: random.Random, store: Store) -> int:
    """Number of the last span that the program knew to be written."""
    environment = {**os.environ, "CLEW_DATA_DIR": str(data_dir)}
    with subprocess.Popen([sys.executable, "-c", PROGRAM, name], stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        flushed = [int(process.stdout.readline()) for _ in range(rnd.randint(1, 40))]
        if rnd.random() < 0.3:
            sweep(store)  # while the program runs: its segment is taken in parts
        process.kill()
        flushed += [int(line) for line in process.stdout.read().splitlines()]
    return flushed[-1]


def test_what_was_handed_over_is_in_the_store_once_and_the_rest_is_lost(tmp_path: Path) -> None:
    rnd = random.Random(4)
    with Store.open(tmp_path / "data") as store:
        written = {f"run-{number}": run_and_kill(f"run-{number}", store.data_dir, rnd, store) for number in range(KILLS)}
        sweep(store)
        sweep(store)
        counted = store.query("SELECT name, count() FROM spans WHERE kind = 'tool' AND state = 'ended' GROUP BY name").result_rows
        counts = {str(name): int(count) for name, count in counted}
        assert set(counts.values()) == {1}
        assert {f"{name} {number}" for name, last in written.items() for number in range(last + 1)} <= counts.keys()
        lost = search(store, "state:lost kind:workflow", limit=KILLS + 1).hits
        assert {hit.name for hit in lost} == written.keys()
        assert health(store).lost >= KILLS
        assert search(store, "state:running").hits == []
        assert list((store.data_dir / "spool").glob("*.jsonl")) == []
