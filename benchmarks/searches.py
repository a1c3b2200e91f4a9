"""The searches that are measured: a declared list of families, each a kind of question asked with many different values.

The values are taken from the generated file, evenly spread over it, so that no query has warmed a cache for the next.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import MODELS, TOOLS, WORDS

from clew.observe.query.runs import runs
from clew.observe.query.search import search
from clew.observe.query.traces import trace
from clew.observe.store.store import Store

VALUES = 40
"""Most values of a family; none has fewer than 20."""


@dataclass(frozen=True)
class Family:
    """One kind of question. ``ask`` gives back how many things it found."""

    name: str
    values: list[Any]
    ask: Callable[[Store, Any], int]


def families(path: Path) -> list[Family]:
    """The questions about the generated spans in that file."""
    call_ids, error_ids, trace_ids = samples(path)
    endings = [(model, status) for model in MODELS for status in ("unset", "error")]
    return [
        Family("attribute, rare: a tool call id", call_ids, filtered("@gen_ai.tool.call.id:{}")),
        Family("attribute, common: a tool's name", list(TOOLS), filtered("@gen_ai.tool.name:{}")),
        Family("field: tool", list(TOOLS), filtered("tool:{}")),
        Family("fields: model and status", endings, filtered("model:{0[0]} status:{0[1]}")),
        Family("text, distinctive: an error id", error_ids, filtered("{}")),
        Family("text, a word in 1 % of the spans", WORDS[700 : 700 + VALUES], filtered("{}")),
        Family("text, a word in 10 to 50 %", WORDS[:VALUES], filtered("{}")),
        Family("run: its spans by search", trace_ids, filtered("run:{}")),
        Family("run: the whole of it, as clew show", trace_ids[::-1], lambda store, run: len(trace(store, run).spans)),
        Family("runs: the newest 20 to 40", list(range(20, 41)), lambda store, limit: len(runs(store, limit=limit))),
    ]


def filtered(pattern: str) -> Callable[[Store, Any], int]:
    return lambda store, value: len(search(store, pattern.format(value)).hits)


def samples(path: Path) -> tuple[list[str], list[str], list[str]]:
    """Tool call ids, error ids and trace ids from requests that lie evenly spread over the file: different ones, as many as VALUES."""
    found: tuple[dict[str, None], dict[str, None], dict[str, None]] = ({}, {}, {})
    places = list(frames(path))
    with path.open("rb") as file:
        for number in range(VALUES):
            offset, length = places[number * len(places) // VALUES]
            file.seek(offset)
            request = ExportTraceServiceRequest.FromString(file.read(length))
            spans = request.resource_spans[0].scope_spans[0].spans
            for values, sample in zip(found, (call_id, error_id, trace_id), strict=True):
                fresh = (value for span in spans if (value := sample(span)) and value not in values)
                values[next(fresh)] = None
    return tuple(map(list, found))  # type: ignore[return-value]


def frames(path: Path) -> Iterator[tuple[int, int]]:
    """Place and length of each request in a file of length-prefixed requests."""
    with path.open("rb") as file:
        while head := file.read(4):
            length = int.from_bytes(head, "big")
            yield file.tell(), length
            file.seek(length, 1)


def call_id(span: Any) -> str:
    return attribute(span, "gen_ai.tool.call.id")


def error_id(span: Any) -> str:
    _, found, word = attribute(span, "gen_ai.tool.call.result").partition(" failed with ")
    return word if found else ""


def trace_id(span: Any) -> str:
    return str(span.trace_id.hex())


def attribute(span: Any, key: str) -> str:
    return next((item.value.string_value for item in span.attributes if item.key == key), "")


def measure(store: Store, asked: list[Family]) -> dict[str, dict[str, float]]:
    """Milliseconds by family; each value is asked once, and what finds nothing is a fault of the benchmark."""
    figures = {}
    for family in asked:
        times, found = [], []
        for value in family.values:
            start = time.perf_counter()
            found.append(family.ask(store, value))
            times.append((time.perf_counter() - start) * 1000)
            if not found[-1]:
                raise SystemExit(f"{family.name}: {value!r} found nothing")
        p50, p95 = statistics.median(times), statistics.quantiles(times, n=20, method="inclusive")[18]
        figures[family.name] = {"values": len(times), "p50_ms": p50, "p95_ms": p95, "max_ms": max(times), "found": statistics.mean(found)}
    return figures
