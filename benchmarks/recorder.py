"""What a span with six attributes costs, written as each library's users write it: Clew beside the OpenTelemetry SDK (batch processor, OTLP encoder) and Logfire, in one run.

    python benchmarks/recorder.py [--spans 20000] [--repeat 7]

Two figures each. *caller*: CPU time of the thread that makes the spans. *total*: CPU time of the whole process until every span is encoded
(Clew: redacted, encoded and written to the spool; the others: encoded to OTLP protobuf bytes and discarded). The repetitions of all
candidates are interleaved and the median counts, so that a change in the machine's speed meets all of them. Waits for the background
threads between repetitions, so none works in another's time. Writes benchmarks/results/recorder.json.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple


class Candidate(NamedTuple):
    name: str
    make: Callable[[int], None]
    finish: Callable[[], None]


def clew_spans(directory: str) -> Candidate:
    import clew

    clew.init(data_dir=directory, service="benchmark", queue=1_000_000, queue_bytes=1 << 30)
    llm = clew.llm

    def make(count: int) -> None:
        for _ in range(count):
            with llm(
                "chat",
                model="gpt-4o-mini",
                provider="openai",
                temperature=0.2,
                max_tokens=1024,
                session="session-5b1e",
                retry=0,
            ):
                pass

    def finish() -> None:
        assert clew.flush(60)
        assert not clew.stats().dropped, clew.stats()

    return Candidate("clew", within(clew.workflow, make), finish)


def clew_nesting(directory: str) -> list[Candidate]:
    """With OpenTelemetry's context as the truth: our spans in a span of its API, and spans of its API in one of ours."""
    import clew

    clew.init(data_dir=directory, service="benchmark", queue=1_000_000, queue_bytes=1 << 30)
    tracer = clew.tracer_provider().get_tracer("benchmark")
    llm, start = clew.llm, tracer.start_as_current_span

    def make(count: int) -> None:
        for _ in range(count):
            with llm(
                "chat",
                model="gpt-4o-mini",
                provider="openai",
                temperature=0.2,
                max_tokens=1024,
                session="session-5b1e",
                retry=0,
            ):
                pass

    def make_api(count: int) -> None:
        for _ in range(count):
            with start(
                "chat",
                attributes={
                    "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.temperature": 0.2,
                    "gen_ai.request.max_tokens": 1024,
                    "gen_ai.conversation.id": "session-5b1e",
                    "retry": 0,
                },
            ):
                pass

    def finish() -> None:
        assert clew.flush(60)
        assert not clew.stats().dropped, clew.stats()

    return [
        Candidate("clew, OpenTelemetry loaded", within(start, make), finish),
        Candidate("clew, by OpenTelemetry's API", within(clew.workflow, make_api), finish),
    ]


def opentelemetry_spans() -> Candidate:
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans):  # type: ignore[no-untyped-def]
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Discard(), max_queue_size=1_000_000, max_export_batch_size=512))
    start = provider.get_tracer("benchmark").start_as_current_span

    def make(count: int) -> None:
        for _ in range(count):
            with start(
                "chat",
                attributes={
                    "gen_ai.request.model": "gpt-4o-mini",
                    "gen_ai.provider.name": "openai",
                    "gen_ai.request.temperature": 0.2,
                    "gen_ai.request.max_tokens": 1024,
                    "gen_ai.conversation.id": "session-5b1e",
                    "retry": 0,
                },
            ):
                pass

    return Candidate("opentelemetry-sdk", within(start, make), lambda: assert_true(provider.force_flush(120_000)))


def logfire_spans() -> Candidate:
    import logfire
    from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans):  # type: ignore[no-untyped-def]
            encode_spans(spans).SerializeToString()
            return SpanExportResult.SUCCESS

    processor = BatchSpanProcessor(Discard(), max_queue_size=1_000_000, max_export_batch_size=512)
    instance = logfire.configure(
        local=True, send_to_logfire=False, console=False, metrics=False, inspect_arguments=False, additional_span_processors=[processor]
    )
    span = instance.span

    def make(count: int) -> None:
        for _ in range(count):
            with span(
                "chat",
                model="gpt-4o-mini",
                provider="openai",
                temperature=0.2,
                max_tokens=1024,
                session="session-5b1e",
                retry=0,
            ):
                pass

    return Candidate("logfire", within(span, make), lambda: assert_true(instance.force_flush(120_000)))


def within(root: Callable[..., Any], make: Callable[[int], None]) -> Callable[[int], None]:
    """The spans are children of one root, as most spans are."""

    def nested(count: int) -> None:
        with root("run"):
            make(count)

    return nested


def assert_true(value: object) -> None:
    assert value


def measure(candidates: list[Candidate], spans: int, repeat: int) -> dict[str, dict[str, float]]:
    """Nanoseconds per span, medians."""
    caller: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    total: dict[str, list[float]] = {candidate.name: [] for candidate in candidates}
    for candidate in candidates:
        candidate.make(spans // 10)
        candidate.finish()
    for _ in range(repeat):
        for candidate in candidates:
            gc.collect()
            process, thread = time.process_time_ns(), time.thread_time_ns()
            candidate.make(spans)
            caller[candidate.name].append((time.thread_time_ns() - thread) / spans)
            candidate.finish()
            total[candidate.name].append((time.process_time_ns() - process) / spans)
    return {name: {"caller_ns": statistics.median(caller[name]), "total_ns": statistics.median(total[name])} for name in caller}


def noop_ns() -> float:
    """A whole ``with`` while recording is off, in a process of its own."""
    code = """
import timeit, clew
clew.init(disabled=True)
from clew import tool
loop = min(timeit.repeat("pass", number=300000, repeat=15))
print((min(timeit.repeat("with tool('search'): pass", number=300000, repeat=15, globals=globals())) - loop) / 300000 * 1e9)
"""
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def alone(arguments: argparse.Namespace, which: str) -> dict[str, dict[str, float]]:
    """One group of candidates in a process of its own: OpenTelemetry must not be loaded where we measure without it."""
    command = [sys.executable, __file__, "--group", which, "--spans", str(arguments.spans), "--repeat", "1"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)  # type: ignore[no-any-return]


def group(which: str) -> list[Candidate]:
    directory = tempfile.mkdtemp(prefix="clew-benchmark-")
    if which == "own":
        return [clew_spans(directory)]
    if which == "bridged":
        return clew_nesting(directory)
    if which == "opentelemetry":
        return [opentelemetry_spans()]
    return [logfire_spans()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=7)
    parser.add_argument("--group", choices=("own", "bridged", "opentelemetry", "logfire"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    if arguments.group:
        print(json.dumps(measure(group(arguments.group), arguments.spans, 3)))
        return
    runs: dict[str, list[dict[str, float]]] = {}
    noops: list[float] = []
    for _ in range(arguments.repeat):
        for which in ("own", "bridged", "opentelemetry", "logfire"):
            for name, figures in alone(arguments, which).items():
                runs.setdefault(name, []).append(figures)
        noops.append(noop_ns())
    medians = {
        name: {figure: statistics.median([run[figure] for run in found]) for figure in ("caller_ns", "total_ns")}
        for name, found in runs.items()
    }
    report(medians, min(noops), arguments)


def report(medians: dict[str, dict[str, float]], noop: float, arguments: argparse.Namespace) -> None:
    peer = medians["opentelemetry-sdk"]
    print(f"{'':32}{'caller µs':>12}{'OTel /':>9}{'total µs':>12}{'OTel /':>9}")
    for name, figures in medians.items():
        ratios = peer["caller_ns"] / figures["caller_ns"], peer["total_ns"] / figures["total_ns"]
        print(f"{name:32}{figures['caller_ns'] / 1e3:12.2f}{ratios[0]:9.1f}{figures['total_ns'] / 1e3:12.2f}{ratios[1]:9.1f}")
    print(f"{'clew, off':32}{noop / 1e3:12.3f}   (a whole `with`, best of {arguments.repeat})")
    own, bridged = medians["clew"], medians["clew, OpenTelemetry loaded"]
    goals = {
        "caller at least 10x below OpenTelemetry": peer["caller_ns"] / own["caller_ns"] >= 10,
        "caller at least 8x below while nesting with it": peer["caller_ns"] / bridged["caller_ns"] >= 8,
        "total CPU at most 1/8": peer["total_ns"] / own["total_ns"] >= 8,
        "no-op at most 100 ns": noop <= 100,
    }
    for goal, met in goals.items():
        print(f"{'met   ' if met else 'MISSED'} {goal}")
    results = Path(__file__).parent / "results"
    results.mkdir(exist_ok=True)
    machine = {"python": platform.python_version(), "cpus": os.cpu_count(), "spans": arguments.spans, "repeat": arguments.repeat}
    document = {"machine": machine, "ns_per_span": medians, "noop_ns": noop, "goals": goals}
    (results / "recorder.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
