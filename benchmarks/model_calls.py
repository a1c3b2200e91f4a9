"""What observing a model call costs its caller: ``clew.observe_llm`` beside Langfuse's own decorator, around a function that answers at once.

    python benchmarks/model_calls.py [--calls 2000] [--repeat 7]

CPU time of the thread that calls, with the bare function's taken off; the candidates are interleaved and the median counts. Both record model, prompt, answer and
usage. Clew writes to its spool in a background thread, Langfuse hands to an exporter that discards: no network. Writes benchmarks/results/model_calls.json.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-mini",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello there, how can I help?"}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 8, "total_tokens": 28},
}


def bare(prompt: str, model: str = "gpt-4o-mini") -> Any:
    return ANSWER


def observed(directory: str) -> Callable[..., Any]:
    import clew

    clew.init(data_dir=directory, service="benchmark", queue=1_000_000, queue_bytes=1 << 30)
    return clew.observe_llm(bare, provider="openai")


def langfuse() -> Callable[..., Any]:
    from langfuse import Langfuse, observe
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

    class Discard(SpanExporter):
        def export(self, spans):  # type: ignore[no-untyped-def]
            return SpanExportResult.SUCCESS

    keys = {"public_key": "pk-lf-none", "secret_key": "sk-lf-none", "base_url": "http://127.0.0.1:9"}
    client = Langfuse(**keys, tracer_provider=TracerProvider(), span_exporter=Discard())

    @observe(as_type="generation")
    def call(prompt: str, model: str = "gpt-4o-mini") -> Any:
        answer = bare(prompt, model)
        usage = answer["usage"]
        client.update_current_generation(
            model=answer["model"], usage_details={"input": usage["prompt_tokens"], "output": usage["completion_tokens"]}
        )
        return answer

    return call


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="clew-benchmark-") as directory:
        candidates: dict[str, Callable[..., Any]] = {"bare": bare, "clew": observed(directory), "langfuse": langfuse()}
        times: dict[str, list[float]] = {name: [] for name in candidates}
        for _ in range(arguments.repeat):
            for name, call in candidates.items():
                start = time.thread_time_ns()
                for _ in range(arguments.calls):
                    call("Say hello, and ask how you can help.")
                times[name].append((time.thread_time_ns() - start) / arguments.calls)
        import clew

        assert clew.flush(60)
        assert not clew.stats().dropped, clew.stats()
        clew.shutdown()
    medians = {name: statistics.median(found) for name, found in times.items()}
    added = {name: (medians[name] - medians["bare"]) / 1e3 for name in ("clew", "langfuse")}
    ratio = added["langfuse"] / added["clew"]
    print(f"added to a call: clew {added['clew']:.1f} µs, langfuse {added['langfuse']:.1f} µs: {ratio:.1f} times as much")
    result = {
        "added_us": added,
        "langfuse_over_clew": ratio,
        "calls": arguments.calls,
        "repeat": arguments.repeat,
        "python": platform.python_version(),
    }
    Path(__file__).with_name("results").joinpath("model_calls.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
