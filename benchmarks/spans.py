"""Generates agent telemetry for the benchmarks: traces of one agent span with model calls and tool calls in turn, text in each.

Every span has at least 700 bytes on the wire, ids of its own and text of its own, drawn from a vocabulary of 20,000 words with the skew of
natural language (Zipf), so that neither compression nor the full-text index gets anything for free. One tool call in fifty names an
error id, and each id comes up in a few spans of the whole set: what one looks for in real telemetry.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPANS_PER_TRACE = 20
WORDS = [f"{a}{b}{c}" for a in ("re", "con", "pro", "de", "in") for b in ("ta", "mi", "so", "lu") for c in range(1000)]
_WEIGHTS = list(accumulate(1 / (rank + 10) for rank in range(len(WORDS))))
MODELS = (
    *("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "o3", "o3-mini"),
    *("claude-sonnet-4-5", "claude-haiku-4-5"),
)
TOOLS = tuple(f"tool-{number}" for number in range(24))
SPANS_PER_ERROR_ID = 500
"""An error id for so many spans; a hundredth of the spans names one, so each comes up in 5 spans on average."""
EPOCH_NS = 1_760_000_000_000_000_000


def requests(spans: int, *, per_request: int = 2000, seed: int = 1, start_ns: int = EPOCH_NS) -> Iterator[bytes]:
    """Encoded OTLP export requests with ``spans`` spans in all, one started each millisecond from ``start_ns`` on."""
    rnd = random.Random(seed)
    made = 0
    while made < spans:
        count = min(per_request, spans - made)
        yield _request(rnd, count, start_ns + made * 1_000_000, max(spans // SPANS_PER_ERROR_ID, 1)).SerializeToString()
        made += count


def _request(rnd: random.Random, count: int, start_ns: int, error_ids: int) -> Any:
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _set(resource.resource, "service.name", f"service-{rnd.randrange(8)}")
    scope = resource.scope_spans.add()
    scope.scope.name = "benchmark"
    trace_id, root = b"", b""
    for index in range(count):
        place = index % SPANS_PER_TRACE
        span = scope.spans.add()
        span.span_id = rnd.randbytes(8)
        if place == 0:
            trace_id, root = rnd.randbytes(16), span.span_id
        else:
            span.parent_span_id = root
        span.trace_id = trace_id
        span.start_time_unix_nano = start_ns + index * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + rnd.randrange(10**9)
        agent = f"agent-{rnd.randrange(20)}"
        if place == 0:
            _agent(rnd, span, agent)
        elif place % 2:
            _tool(rnd, span, error_ids)
        else:
            _model_call(rnd, span, agent)
        if rnd.random() < 0.02:
            span.status.code = 2
            span.status.message = "TimeoutError: the provider did not answer within 30 s"
    return request


def _text(rnd: random.Random, words: int) -> str:
    return " ".join(rnd.choices(WORDS, cum_weights=_WEIGHTS, k=words))


def _set(holder: Any, key: str, value: str | int) -> None:
    attribute = holder.attributes.add(key=key)
    if isinstance(value, int):
        attribute.value.int_value = value
    else:
        attribute.value.string_value = value


def _agent(rnd: random.Random, span: Any, agent: str) -> None:
    span.name = f"invoke_agent {agent}"
    _set(span, "gen_ai.operation.name", "invoke_agent")
    _set(span, "gen_ai.agent.name", agent)
    _set(span, "gen_ai.conversation.id", f"session-{rnd.randrange(5000)}")
    _set(span, "input.value", _text(rnd, 70))


def _model_call(rnd: random.Random, span: Any, agent: str) -> None:
    model = rnd.choice(MODELS)
    span.name, span.kind = f"chat {model}", 3
    for key, value in (
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "anthropic" if model.startswith("claude") else "openai"),
        ("gen_ai.request.model", model),
        ("gen_ai.agent.name", agent),
        ("gen_ai.usage.input_tokens", rnd.randrange(5000)),
        ("gen_ai.usage.output_tokens", rnd.randrange(800)),
        ("gen_ai.input.messages", f'[{{"role":"user","parts":[{{"type":"text","content":"{_text(rnd, 35)}"}}]}}]'),
        ("gen_ai.output.messages", f'[{{"role":"assistant","parts":[{{"type":"text","content":"{_text(rnd, 20)}"}}]}}]'),
    ):
        _set(span, key, value)


def error_id(number: int) -> str:
    """One word that stands in the results of a few tool calls."""
    return f"err{number * 2654435761 % 2**32:08x}"


def _tool(rnd: random.Random, span: Any, error_ids: int) -> None:
    tool = rnd.choice(TOOLS)
    result = _text(rnd, 45)
    if rnd.random() < 0.02:
        result += f" failed with {error_id(rnd.randrange(error_ids))}"
    span.name = f"execute_tool {tool}"
    for key, value in (
        ("gen_ai.operation.name", "execute_tool"),
        ("gen_ai.tool.name", tool),
        ("gen_ai.tool.call.id", f"call_{rnd.randbytes(8).hex()}"),
        ("gen_ai.tool.call.arguments", f'{{"query":"{_text(rnd, 15)}"}}'),
        ("gen_ai.tool.call.result", result),
    ):
        _set(span, key, value)


AGENT_EVERY, TURN_EVERY = 500, 10
"""In a large run: spans of one agent, and of one of its turns."""


def large_run(spans: int, *, trace_id: bytes, start_ns: int, per_request: int = 2000) -> Iterator[bytes]:
    """One run of so many spans, encoded: agents, their turns, and in each model calls, tool calls and what a tool started, 50 ms each.

    No five spans that look alike stand side by side, so that a view which folds those still shows nearly all of them.
    """
    rnd = random.Random(trace_id)
    for first in range(0, spans, per_request):
        request = ExportTraceServiceRequest()
        resource = request.resource_spans.add()
        _set(resource.resource, "service.name", "large-run")
        scope = resource.scope_spans.add()
        scope.scope.name = "benchmark"
        for number in range(first, min(first + per_request, spans)):
            span = scope.spans.add(trace_id=trace_id, span_id=(number + 1).to_bytes(8, "big"))
            span.start_time_unix_nano = start_ns + number * 50_000_000
            _large_span(rnd, span, number, spans)
        yield request.SerializeToString()


def _large_span(rnd: random.Random, span: Any, number: int, spans: int) -> None:
    place = number % TURN_EVERY
    agent = f"agent-{number // AGENT_EVERY}"
    parent, lasts = number - place, 1
    if number == 0:
        span.name, lasts = "large run", spans
        _set(span, "clew.span.kind", "workflow")
    elif number % AGENT_EVERY == 1:
        _agent(rnd, span, agent)
        parent, lasts = 0, AGENT_EVERY - 1
    elif place == 0:
        span.name, lasts = f"turn {number // TURN_EVERY}", TURN_EVERY
        _set(span, "clew.span.kind", "node")
        parent = max(number - number % AGENT_EVERY, 0) + 1 if number % AGENT_EVERY else 0
    elif place % 2:
        _model_call(rnd, span, agent)
    else:
        _tool(rnd, span, 1000)
        parent = number - 2 if place in (4, 8) else parent
    if number:
        span.parent_span_id = (parent + 1).to_bytes(8, "big")
    span.end_time_unix_nano = span.start_time_unix_nano + lasts * 50_000_000
    if rnd.random() < 0.02:
        span.status.code = 2
        span.status.message = "TimeoutError: the provider did not answer within 30 s"


def live(rnd: random.Random, *, trace_id: bytes, first: int, count: int, now_ns: int, done: bool) -> bytes:
    """Spans ``first`` to ``first + count`` of a run that goes on, encoded: they end now. Its root is there from the start, and ends when the run is done."""
    request = ExportTraceServiceRequest()
    resource = request.resource_spans.add()
    _set(resource.resource, "service.name", "live")
    scope = resource.scope_spans.add()
    scope.scope.name = "benchmark"
    for number in range(first, first + count):
        span = scope.spans.add(trace_id=trace_id, span_id=(number + 2).to_bytes(8, "big"), parent_span_id=(1).to_bytes(8, "big"))
        (_tool(rnd, span, 1000) if number % 2 else _model_call(rnd, span, "live"))
        span.start_time_unix_nano, span.end_time_unix_nano = now_ns - rnd.randrange(10**8, 10**9), now_ns
    if first == 0 or done:
        root = scope.spans.add(trace_id=trace_id, span_id=(1).to_bytes(8, "big"))
        _agent(rnd, root, "live")
        root.start_time_unix_nano = int.from_bytes(trace_id[:8], "big")
        root.end_time_unix_nano = now_ns if done else 0
    return request.SerializeToString()
