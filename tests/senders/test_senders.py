"""Other people's programs, unmodified: each shows its model, tokens, cost, messages and tools in runs, spans and transcript."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.needs(
    "chdb",
    "fastapi",
    "grpc",
    "httpx",
    "openai",
    "uvicorn",
    "logfire",
    "openinference.instrumentation.openai",
    "opentelemetry.exporter.otlp.proto.grpc",
    "opentelemetry.exporter.otlp.proto.http",
    "opentelemetry.instrumentation.openai_v2",
    "pydantic_ai",
    "traceloop.sdk",
)

SYSTEM, QUESTION, RESULT, ANSWER = "Be brief.", "How is the weather in Lisbon?", "sunny in Lisbon", "Sunny."
MODEL = "gpt-4o-mini-2024-07-18"
CACHED, SECOND = (90, 17, 64, 0.0000189), (120, 3, None, 0.0000198)
"""Tokens in, out and read from the cache, and the cost, of the two requests."""
AGENT = {"agent": 1, "llm": 2, "tool": 1}


class Sender(NamedTuple):
    """A program and what must be seen of it."""

    program: str
    kinds: dict[str, int]
    calls: list[tuple[int, int, int | None, float]]
    agent: str = ""
    tool: tuple[str, str] | None = None
    """Arguments and result of the tool's own span; None where the sender makes none."""
    session: str = ""
    environment: Mapping[str, str] = MappingProxyType({})


SENDERS: dict[str, Sender] = {
    "openinference-instrumentation-openai": Sender("openinference_openai", {"llm": 2, "other": 1}, [CACHED, (120, 3, 0, 0.0000198)]),
    # It does not send how much came from the cache, so the whole input is priced as read anew.
    "opentelemetry-instrumentation-openai-v2, messages in spans": Sender(
        "openai_v2",
        {"llm": 2, "other": 1},
        [(90, 17, None, 0.0000237), SECOND],
        environment={
            "OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental",
            "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "SPAN_ONLY",
        },
    ),
    "opentelemetry-instrumentation-openai-v2, messages in logs": Sender(
        "openai_v2",
        {"llm": 2, "other": 1},
        [(90, 17, None, 0.0000237), SECOND],
        environment={"OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "true"},
    ),
    "pydantic-ai": Sender("pydantic_agent", AGENT, [CACHED, SECOND], "forecaster", ('{"city":"Lisbon"}', RESULT), "a conversation"),
    "logfire": Sender(
        "logfire_agent", AGENT | {"other": 2}, [CACHED, SECOND], "forecaster", ('{"city":"Lisbon"}', RESULT), "a conversation"
    ),
    "traceloop-sdk": Sender(
        "traceloop_workflow",
        AGENT | {"workflow": 1},
        [CACHED, (120, 3, 0, 0.0000198)],
        "forecaster",
        ('{"args": [], "kwargs": {"city": "Lisbon"}}', f'"{RESULT}"'),
        "s-7",
    ),
}


@pytest.mark.parametrize("name", SENDERS)
def test_an_instrumented_program_shows_all_of_its_conversation(collector: Any, sent: Callable[[str], dict[str, Any]], name: str) -> None:
    sender = SENDERS[name]
    service = f"sender-{list(SENDERS).index(name)}"
    collector.run(sender.program, service=service, **sender.environment)
    shown = sent(service)
    assert shown["kinds"] == sender.kinds
    assert shown["calls"] == [(MODEL, "openai", *call, sender.agent) for call in sender.calls]
    assert shown["tools"] == ([("get_weather", *sender.tool, sender.agent)] if sender.tool else [])
    run = shown["run"]
    assert (run["service"], run["models"], run["agents"]) == (service, [MODEL], [sender.agent] * bool(sender.agent))
    assert (run["input_tokens"], run["output_tokens"]) == (210, 20)
    assert run["cost_usd"] == pytest.approx(sum(cost for *_, cost in sender.calls))
    assert run["session_id"] == sender.session or (sender.session == "a conversation" and run["session_id"])
    said = [(role, content) for _, role, content in shown["messages"] if content]
    asked, answered = [("system", SYSTEM), ("user", QUESTION)], [(said[-2][0], RESULT), ("assistant", ANSWER)]
    assert said == asked + asked + answered
    assert said[-2][0] in ("tool", "user")  # pydantic-ai gives a tool's answer as the user's
    assert "get_weather" in shown["text"]
    assert "call_00000" in shown["text"]


@pytest.mark.parametrize("way", ["http", "grpc"])
def test_the_sdks_exporters_bring_spans_logs_and_metrics(collector: Any, sent: Callable[[str], dict[str, Any]], way: str) -> None:
    service = f"sdk-{way}"
    over_grpc = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.environment["GRPC_ENDPOINT"], "OTEL_EXPORTER_OTLP_INSECURE": "true"}
    collector.run("opentelemetry_sdk", way, service=service, **(over_grpc if way == "grpc" else {}))
    shown = sent(service)
    assert shown["kinds"] == {"agent": 1, "llm": 1, "tool": 1}
    assert shown["calls"] == [("gpt-4o-mini", "openai", 100, 20, 40, 0.000024, "forecaster")]
    assert shown["tools"] == [("get_weather", '{"city":"Lisbon"}', RESULT, "forecaster")]
    assert shown["messages"] == [("input", "user", "Why?"), ("output", "assistant", "Because.")]
    [(body, severity, trace_id)] = collector.sql(f"SELECT body, severity_number, trace_id FROM logs WHERE service = '{service}'")
    assert (body, severity, trace_id) == ("it is hot", 13, shown["run"]["run_id"])
    points = collector.sql(
        f"SELECT name, kind, value, count, sum, exemplar_values, exemplar_trace_ids FROM points WHERE service = '{service}' ORDER BY name"
    )
    assert [row[:5] for row in points] == [("program.calls", "sum", 1, None, None), ("program.wait", "histogram", None, 1, 0.25)]
    for _, _, value, _, total, measured, traces in points:  # measured within a span, so each has an exemplar that names it
        assert (measured, traces) == ([value or total], [shown["run"]["run_id"]])
