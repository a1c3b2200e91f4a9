"""What measuring costs the caller: Clew's instruments beside raw prometheus_client, in one run.

    python benchmarks/instruments.py [--calls 20000] [--repeat 7]

*track_request*: one model request with result, tokens and cost. Raw prometheus_client: the same five metrics as its users write them, a counter
for requests, two for tokens, one for cost, a histogram for time. Clew's gives the span as well, and with it what the server derives; *shown
here too* is with ``clew.serve_metrics()``'s figures kept in the process. *inc*: one call of a counter with two labels. CPU time of the calling
thread; the repetitions of all candidates are interleaved and the median counts. The raw figure has no span: beside it stands the same
with a bare Clew span around it. Writes benchmarks/results/instruments.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clew
from clew.record.metrics import derive

Candidate = Callable[[int], None]


def raw() -> tuple[Candidate, Candidate, Candidate]:
    """The metrics alone, the same within a span, and one counter."""
    from prometheus_client import CollectorRegistry, Counter, Histogram

    registry = CollectorRegistry()
    requests = Counter("llm_requests_total", "-", ["model", "provider", "result"], registry=registry)
    tokens = Counter("llm_tokens_total", "-", ["model", "type"], registry=registry)
    cost = Counter("llm_cost_dollars_total", "-", ["model", "provider"], registry=registry)
    duration = Histogram(
        "llm_request_duration_seconds", "-", ["model", "provider"], buckets=(0.5, 1, 2, 5, 10, 20, 30, 60), registry=registry
    )
    iterations = Counter("hitl_escalation_total", "-", ["reason"], registry=registry)

    def request(model: str, provider: str) -> None:
        began = time.perf_counter()
        result = "success"
        try:
            pass
        except Exception:
            result = "error"
            raise
        finally:
            duration.labels(model=model, provider=provider).observe(time.perf_counter() - began)
            requests.labels(model=model, provider=provider, result=result).inc()
            tokens.labels(model=model, type="prompt").inc(1000)
            tokens.labels(model=model, type="completion").inc(500)
            cost.labels(model=model, provider=provider).inc(0.0075)

    def alone(calls: int) -> None:
        for _ in range(calls):
            request("gpt-4o", "openai")

    def within(calls: int) -> None:
        for _ in range(calls):
            with clew.llm("chat gpt-4o", model="gpt-4o", provider="openai"):
                request("gpt-4o", "openai")

    def count(calls: int) -> None:
        for _ in range(calls):
            iterations.labels(reason="ambiguity").inc()

    return alone, within, count


def track_request(calls: int) -> None:
    for _ in range(calls):
        with clew.llm_metrics.track_request(model="gpt-4o", provider="openai") as metadata:
            metadata["prompt_tokens"], metadata["completion_tokens"], metadata["cost"] = 1000, 500, 0.0075


def shown_here(calls: int) -> None:
    derive.start()
    try:
        track_request(calls)
    finally:
        derive.stop()


def increment(calls: int) -> None:
    measure = clew.metric("hitl_escalation_total")
    for _ in range(calls):
        measure.labels(reason="ambiguity").inc()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        clew.init(data_dir=directory, service="benchmark", queue=1_000_000, queue_bytes=1 << 30, console=False)
        alone, within, count = raw()
        candidates: dict[str, Candidate] = {
            "prometheus_client, five metrics": alone,
            "prometheus_client, five metrics, in a span": within,
            "track_request": track_request,
            "track_request, shown here too": shown_here,
            "prometheus_client, one counter": count,
            "clew.metric(...).inc()": increment,
        }
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for candidate in candidates.values():
            candidate(given.calls // 10)
        for _ in range(given.repeat):
            for name, candidate in candidates.items():
                clew.flush(60)
                began = time.thread_time()
                candidate(given.calls)
                times[name].append((time.thread_time() - began) / given.calls * 1e6)
        clew.shutdown(60)
    medians = {name: statistics.median(found) for name, found in times.items()}
    print(f"{given.calls} calls, median of {given.repeat}, load average {os.getloadavg()[0]:.1f}; CPU of the caller, µs per call")
    for name, micros in medians.items():
        print(f"  {name:45} {micros:8.2f}")
    print(f"  track_request / the five metrics in a span    {medians['track_request'] / medians[list(medians)[1]]:8.2f}")
    results: dict[str, Any] = {"calls": given.calls, "repeat": given.repeat, "load": os.getloadavg()[0], "micros": medians}
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "instruments.json").write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
