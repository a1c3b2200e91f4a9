"""What holding a budget costs a model call, beside an increment of prometheus_client and a bare SQLite transaction, in one run.

    python benchmarks/budgets.py [--calls 500] [--repeat 7]

Each candidate does the same number of operations; the repetitions are interleaved and the median counts, so that a change in the machine's
speed meets all of them. CPU time of the thread that calls. A call of a model takes 200 ms and more: the last column says what part of such a
call a candidate is. Writes benchmarks/results/budgets.json.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter

import clew
from clew.cost.budgets.budget import budget
from clew.cost.budgets.ledger import Charge, Claim, Ledger

MODEL_CALL_US = 200_000
Candidate = Callable[[int], None]


def prometheus() -> Candidate:
    counter = Counter("tokens", "Tokens", ["persona", "model"], registry=CollectorRegistry())

    def run(count: int) -> None:
        for _ in range(count):
            counter.labels("backend", "gpt-4o-mini").inc(850)

    return run


def sqlite(directory: Path) -> Candidate:
    connection = sqlite3.connect(directory / "bare.sqlite", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE spent (name TEXT PRIMARY KEY, tokens REAL)")
    connection.execute("INSERT INTO spent VALUES ('backend', 0)")

    def run(count: int) -> None:
        for _ in range(count):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("UPDATE spent SET tokens = tokens + 850 WHERE name = 'backend'")
            connection.execute("COMMIT")

    return run


def ledger(directory: Path) -> Candidate:
    kept = Ledger(directory / "ledger.sqlite")
    held = budget({"name": "backend", "tokens": 1e12, "window": "day"}, "benchmark")

    def run(count: int) -> None:
        for call in range(count):
            kept.reserve(call, [Claim(held, "", {"tokens": 1000.0, "calls": 1.0})])
            kept.settle(call, [Charge(held, "", {"tokens": 850.0, "calls": 1.0})])

    return run


def calls(directory: Path, budgets: int) -> Candidate:
    """Model calls as a program records them, with so many budgets."""

    def run(count: int) -> None:
        clew.init(data_dir=directory, service="benchmark", queue=1_000_000)
        with contextlib.ExitStack() as stack:
            for number in range(budgets):
                stack.enter_context(clew.budget(f"budget {number}", tokens=1e12, window="day"))
            for _ in range(count):
                with clew.llm("chat", model="gpt-4o-mini", provider="openai", max_tokens=1024) as span:
                    span.set("gen_ai.usage.input_tokens", 800).set("gen_ai.usage.output_tokens", 50)

    return run


def measured(candidates: dict[str, Candidate], given: argparse.Namespace) -> dict[str, float]:
    """Microseconds per operation, medians."""
    taken: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(given.repeat):
        for name, run in candidates.items():
            gc.collect()
            began = time.thread_time_ns()
            run(given.calls)
            taken[name].append((time.thread_time_ns() - began) / given.calls / 1e3)
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        directory = Path(folder)
        without = calls(directory / "none", 0)
        plain = measured({"a model call, nothing declared": without}, given)  # before anything of limits is loaded
        candidates = {
            "a model call, limits elsewhere": without,
            "prometheus_client: labels().inc()": prometheus(),
            "SQLite: one bare transaction": sqlite(directory),
            "ledger: reserve and settle": ledger(directory),
            "a model call, 1 budget": calls(directory / "one", 1),
            "a model call, 4 budgets": calls(directory / "four", 4),
        }
        figures = plain | measured(candidates, given)
        clew.shutdown()
    counter, transaction = figures["prometheus_client: labels().inc()"], figures["SQLite: one bare transaction"]
    print(f"{given.calls} operations, {given.repeat} repetitions, load average {os.getloadavg()[0]:.1f}")
    print(f"{'':<36}{'µs':>9}{'x inc()':>9}{'x SQLite':>10}{'of a call':>11}")
    for name, us in figures.items():
        print(f"{name:<36}{us:>9.1f}{us / counter:>9.1f}{us / transaction:>10.1f}{us / MODEL_CALL_US:>11.3%}")
    check = figures["a model call, 1 budget"] - figures["a model call, nothing declared"]
    print(
        f"one budget adds {check:.0f} µs to a call: {check / transaction:.1f} bare transactions, {check / MODEL_CALL_US:.2%} of a call of 200 ms"
    )
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    (results / "budgets.json").write_text(json.dumps({"calls": given.calls, "repeat": given.repeat, "us": figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
