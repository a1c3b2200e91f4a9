"""What a workflow costs around its nodes: in plain pocketflow, compiled and not looked at, recorded, traced; and beside a peer.

    python benchmarks/workflow.py [--quick] [--no-peer]

All ways are measured in one process by turns, so that the machine's moods fall on all alike, and the best round counts: what other programs
take from a run says nothing about it. What is measured is CPU time of the process, the writer's thread included.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pflow_peer
import pocketflow

import clew
from clew.act.workflow.compile import compile_workflow
from clew.act.workflow.document import Document
from clew.act.workflow.metrics import MetricsCollector
from clew.act.workflow.namespaced import Store
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.run import run
from clew.act.workflow.trace import WorkflowTraceCollector


class Empty(NodeType):
    """A node that does nothing."""

    type = "empty"

    def execute(self, params: Any) -> dict[str, Any]:
        return {"done": True}


class Work(NodeType):
    """A node that works for 10 ms of CPU time: what other programs take from the machine does not count, neither here nor around it."""

    type = "work"

    def execute(self, params: Any) -> dict[str, Any]:
        end = time.thread_time_ns() + 10_000_000
        while time.thread_time_ns() < end:
            pass
        return {"text": "a line of text that a node might give back", "number": 7}


TYPES: dict[str, type[NodeType]] = {"empty": Empty, "work": Work}


class PlainEmpty(pocketflow.Node):  # type: ignore[misc]
    def exec(self, prep_res: Any) -> Any:
        return {"done": True}

    def post(self, shared: dict[str, Any], prep_res: Any, exec_res: Any) -> str:
        shared[self.name] = exec_res
        return "default"


class PlainWork(PlainEmpty):
    def exec(self, prep_res: Any) -> Any:
        return Work().execute(None)


def chain(kind: str, count: int) -> Document:
    nodes = [{"id": f"n{number}", "type": kind} for number in range(count)]
    edges = [{"from": f"n{number}", "to": f"n{number + 1}"} for number in range(count - 1)]
    return Document.model_validate({"name": f"{count} {kind}", "nodes": nodes, "edges": edges})


def plain_chain(kind: type[PlainEmpty], count: int) -> pocketflow.Flow:
    nodes = [kind() for _ in range(count)]
    for number, node in enumerate(nodes):
        node.name = f"n{number}"
    for node, following in pairwise(nodes):
        node >> following
    return pocketflow.Flow(start=nodes[0])


def warn(text: str) -> None:
    print(text, file=sys.stderr)


def ways(kind: str, plain: type[PlainEmpty], count: int, folder: Path) -> dict[str, Callable[[], object]]:
    """Name of a way to run the chain -> runs it once."""
    document, flow = chain(kind, count), plain_chain(plain, count)
    compiled = compile_workflow(document, types=TYPES)

    def traced(record: bool) -> object:
        return run(
            document,
            {},
            base=folder,
            types=TYPES,
            record=record,
            metrics_collector=MetricsCollector(),
            trace_collector=WorkflowTraceCollector(folder / "traces", document.name, warn=warn),
        )

    return {
        "plain pocketflow": lambda: flow.run({}),
        "compiled, not looked at": lambda: compiled._run(Store(inputs={})),
        "run, no record": lambda: run(document, {}, base=folder, types=TYPES, record=False),
        "run, recorded": lambda: run(document, {}, base=folder, types=TYPES),
        "run, traced and metered": lambda: traced(False),
        "run, recorded, traced and metered": lambda: traced(True),
    }


def by_turns(found: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Seconds of the best round of each way."""
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        for name, way in found.items():
            started = clock()
            way()
            times[name].append(clock() - started)
    return {name: min(values) for name, values in times.items()}


@contextmanager
def recorder(folder: Path) -> Iterator[None]:
    clew.init(data_dir=folder)
    try:
        yield
    finally:
        clew.shutdown()


def measure(quick: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with recorder(folder):
            slow = by_turns(ways("work", PlainWork, 100, folder), 2 if quick else 9, time.process_time)
            count = 1_000 if quick else 10_000
            fast = by_turns(ways("empty", PlainEmpty, count, folder), 2 if quick else 5, time.process_time)
    traced = 100 * (slow["run, traced and metered"] / slow["run, no record"] - 1)
    both = 100 * (slow["run, recorded, traced and metered"] / slow["run, no record"] - 1)
    return {
        "nodes of 10 ms": {
            "nodes": 100,
            "CPU seconds": slow,
            "trace over none, %": traced,
            "record and trace over none, %": both,
            "goal": f"trace below 1 %: {'met' if traced < 1 else 'missed'}",
        },
        "empty nodes": {"nodes": count, "CPU, us per node": {name: 1e6 * value / count for name, value in fast.items()}},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it runs")
    parser.add_argument("--no-peer", action="store_true", help="leave pflow-cli out")
    options = parser.parse_args()
    found = measure(options.quick)
    if not options.no_peer:
        with tempfile.TemporaryDirectory() as name:
            found["command line, 20 shell nodes"] = pflow_peer.measure(Path(name), rounds=2 if options.quick else 7)
    print(json.dumps({"cpus": os.cpu_count(), "python": sys.version.split()[0], **found}, indent=2))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
