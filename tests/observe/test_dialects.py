"""Whichever dialect a program speaks, its spans have the same columns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from recorded_traces import as_otlp

from clew.observe.store.store import Store

SharedData = Callable[[str], Path]

COLUMNS = "kind, model, request_model, response_model, provider, agent, workflow, tool, tool_call_id, session_id, user_id, error_type, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, reported_cost_usd"

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # dialect: (attributes as they are sent, columns that are not empty)
    "GenAI 1.36": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.system": "openai",
            "gen_ai.request.model": "gpt-4o",
            "gen_ai.response.model": "gpt-4o-2024-08-06",
            "gen_ai.usage.prompt_tokens": 12,
            "gen_ai.usage.completion_tokens": 3,
        },
        {
            "kind": "llm",
            "model": "gpt-4o-2024-08-06",
            "request_model": "gpt-4o",
            "response_model": "gpt-4o-2024-08-06",
            "provider": "openai",
            "input_tokens": 12,
            "output_tokens": 3,
        },
    ),
    "GenAI 1.41": (
        {
            "gen_ai.operation.name": "generate_content",
            "gen_ai.provider.name": "gcp.gemini",
            "gen_ai.request.model": "gemini-2.5-flash",
            "gen_ai.conversation.id": "c1",
            "gen_ai.agent.name": "planner",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 50,
            "gen_ai.usage.cache_read.input_tokens": 40,
            "gen_ai.usage.cache_creation.input_tokens": 10,
            "gen_ai.usage.reasoning.output_tokens": 20,
            "user.id": "u1",
        },
        {
            "kind": "llm",
            "model": "gemini-2.5-flash",
            "request_model": "gemini-2.5-flash",
            "provider": "gcp.gemini",
            "agent": "planner",
            "session_id": "c1",
            "user_id": "u1",
            "input_tokens": 100,
            "output_tokens": 50,
            "cache_read_tokens": 40,
            "cache_write_tokens": 10,
            "reasoning_tokens": 20,
        },
    ),
    "the new GenAI repository": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "anthropic",
            "gen_ai.request.model": "claude-sonnet-4-5",
            "gen_ai.usage.input_tokens": 100,
            "gen_ai.usage.output_tokens": 5,
            "gen_ai.usage.cache_write.input_tokens": 30,
            "gen_ai.usage.audio.input_tokens": 7,
            "gen_ai.usage.audio.output_tokens": 2,
            "gen_ai.usage.cost.amount": 0.25,
        },
        {
            "kind": "llm",
            "model": "claude-sonnet-4-5",
            "request_model": "claude-sonnet-4-5",
            "provider": "anthropic",
            "input_tokens": 100,
            "output_tokens": 5,
            "cache_write_tokens": 30,
            "audio_input_tokens": 7,
            "audio_output_tokens": 2,
            "reported_cost_usd": 0.25,
        },
    ),
    "GenAI tool": (
        {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "gen_ai.tool.call.id": "call_1", "error.type": "timeout"},
        {"kind": "tool", "tool": "search", "tool_call_id": "call_1", "error_type": "timeout"},
    ),
    "GenAI workflow": (
        {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": "release"},
        {"kind": "workflow", "workflow": "release"},
    ),
    "OpenInference, tokens as text": (
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "o3-mini",
            "llm.provider": "openai",
            "llm.token_count.prompt": "1043",
            "llm.token_count.completion": "77",
            "llm.token_count.prompt_details.cache_read": "512",
            "llm.token_count.completion_details.reasoning": "64",
            "llm.cost.total": 0.5,
            "session.id": "s1",
        },
        {
            "kind": "llm",
            "model": "o3-mini",
            "request_model": "o3-mini",
            "provider": "openai",
            "session_id": "s1",
            "input_tokens": 1043,
            "output_tokens": 77,
            "cache_read_tokens": 512,
            "reasoning_tokens": 64,
            "reported_cost_usd": 0.5,
        },
    ),
    "OpenInference wins over an operation": (
        {"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"},
        {"kind": "node"},
    ),
    "OpenInference, a kind that is not known": (
        {"openinference.span.kind": "POEM", "gen_ai.operation.name": "chat"},
        {"kind": "llm"},
    ),
    "OpenLLMetry": (
        {
            "llm.request.type": "chat",
            "traceloop.workflow.name": "qa",
            "gen_ai.system": "Anthropic",
            "gen_ai.request.model": "claude-3-5-haiku",
            "llm.usage.prompt_tokens": 9.0,
            "llm.usage.completion_tokens": 4.0,
            "traceloop.association.properties.session_id": "s2",
        },
        {
            "kind": "llm",
            "model": "claude-3-5-haiku",
            "request_model": "claude-3-5-haiku",
            "provider": "Anthropic",
            "workflow": "qa",
            "session_id": "s2",
            "input_tokens": 9,
            "output_tokens": 4,
        },
    ),
    "Langfuse": (
        {
            "langfuse.observation.type": "generation",
            "langfuse.observation.model.name": "gpt-4o-mini",
            "langfuse.session.id": "s3",
            "langfuse.user.id": "u3",
        },
        {"kind": "llm", "model": "gpt-4o-mini", "request_model": "gpt-4o-mini", "session_id": "s3", "user_id": "u3"},
    ),
    "Vercel AI SDK 5": (
        {
            "ai.operationId": "ai.streamText.doStream",
            "ai.model.id": "gpt-5",
            "ai.model.provider": "openai.responses",
            "ai.usage.inputTokens": 62,
            "ai.usage.outputTokens": 85,
            "ai.usage.cachedInputTokens": 10,
            "ai.usage.reasoningTokens": 64,
        },
        {
            "kind": "llm",
            "model": "gpt-5",
            "request_model": "gpt-5",
            "provider": "openai.responses",
            "input_tokens": 62,
            "output_tokens": 85,
            "cache_read_tokens": 10,
            "reasoning_tokens": 64,
        },
    ),
    "MLflow": (
        {
            "mlflow.spanType": "CHAT_MODEL",
            "mlflow.llm.model": "gpt-4o",
            "mlflow.llm.provider": "openai",
            "mlflow.trace.session": "s4",
            "mlflow.trace.user": "u4",
        },
        {
            "kind": "llm",
            "model": "gpt-4o",
            "request_model": "gpt-4o",
            "provider": "openai",
            "session_id": "s4",
            "user_id": "u4",
        },
    ),
    "pydantic-ai agent": (
        {"agent_name": "qa", "model_name": "gpt-4o", "gen_ai.usage.input_tokens": 31, "gen_ai.usage.output_tokens": 96},
        {"kind": "agent", "agent": "qa", "input_tokens": 31, "output_tokens": 96},
    ),
    "Clew's own kind goes first": (
        {"clew.span.kind": "decision", "gen_ai.operation.name": "chat", "openinference.span.kind": "LLM"},
        {"kind": "decision"},
    ),
    "counts that are none": (
        {
            "gen_ai.operation.name": "chat",
            "gen_ai.usage.input_tokens": "many",
            "gen_ai.usage.output_tokens": -3,
            "llm.cost.total": "free",
        },
        {"kind": "llm"},
    ),
    "nothing that is known": ({"http.method": "GET"}, {"kind": "other"}),
}


def test_every_dialect_fills_the_same_columns(store: Store, otlp: Any) -> None:
    spans = [otlp.span(1, number, 0, attributes) for number, (attributes, _) in enumerate(CASES.values(), 1)]
    otlp.take(store, otlp.lines(otlp.traces(*spans[::2])) + otlp.lines(otlp.traces(*spans[1::2])))
    rows = store.rows(f"SELECT {COLUMNS} FROM spans ORDER BY trace_id")
    found = {name: {key: value for key, value in row.items() if value not in ("", None)} for name, row in zip(CASES, rows, strict=True)}
    assert found == {name: columns for name, (_, columns) in CASES.items()}


def test_the_same_from_protobuf(store: Store, otlp: Any) -> None:
    spans = [otlp.span(1, number, 0, attributes) for number, (attributes, _) in enumerate(CASES.values(), 1)]
    otlp.take(store, otlp.protobuf(otlp.traces(*spans)))
    rows = store.rows(f"SELECT {COLUMNS} FROM spans ORDER BY trace_id")
    assert [{key: value for key, value in row.items() if value not in ("", None)} for row in rows] == [
        wanted for _, wanted in CASES.values()
    ]


# --- messages ----------------------------------------------------------------------------------------------------------------------------

TEXT = "line one\n  line two\t“quoted” \\ {json: no}"
Message = tuple[str, int, str, str]
"""direction, position, role, content"""

MESSAGES: dict[str, tuple[dict[str, Any], list[Message]]] = {
    "OpenInference": (
        {
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.0.message.content": TEXT,
            "llm.input_messages.1.message.role": "user",
            "llm.input_messages.1.message.contents.0.message_content.type": "text",
            "llm.input_messages.1.message.contents.0.message_content.text": "first",
            "llm.input_messages.1.message.contents.10.message_content.text": "last",
            "llm.input_messages.1.message.contents.2.message_content.text": "second",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
        },
        [("input", 0, "system", TEXT), ("input", 1, "user", "first\nsecond\nlast"), ("output", 0, "assistant", "")],
    ),
    "OpenLLMetry": (
        {
            "gen_ai.prompt.0.role": "user",
            "gen_ai.prompt.0.content": TEXT,
            "gen_ai.completion.0.role": "assistant",
            "gen_ai.completion.0.content": "yes",
        },
        [("input", 0, "user", TEXT), ("output", 0, "assistant", "yes")],
    ),
    "GenAI 1.41": (
        {
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "be brief"}]),
            "gen_ai.input.messages": json.dumps(
                [
                    {"role": "user", "parts": [{"type": "text", "content": TEXT}]},
                    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
                ]
            ),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "text", "content": "a"}, {"type": "text", "content": "b"}]}]
            ),
        },
        [("input", 0, "user", TEXT), ("input", 1, "tool", "42"), ("output", 0, "assistant", "a\nb"), ("system", 0, "system", "be brief")],
    ),
    "GenAI 1.41, structured values": (
        {"gen_ai.input.messages": [{"role": "user", "parts": [{"type": "text", "content": TEXT}]}]},
        [("input", 0, "user", TEXT)],
    ),
    "pydantic-ai's events": (
        {
            "events": json.dumps(
                [
                    {"content": "be brief", "role": "system", "event.name": "gen_ai.system.message"},
                    {"content": TEXT, "role": "user", "event.name": "gen_ai.user.message"},
                    {"index": 0, "message": {"role": "assistant", "content": "yes"}, "event.name": "gen_ai.choice"},
                ]
            )
        },
        [("input", 0, "system", "be brief"), ("input", 1, "user", TEXT), ("output", 0, "assistant", "yes")],
    ),
    "Vercel AI SDK": (
        {
            "ai.prompt.messages": json.dumps(
                [{"role": "user", "content": [{"type": "text", "text": TEXT}]}, {"role": "user", "content": "short"}]
            ),
            "ai.response.text": TEXT,
        },
        [("input", 0, "user", TEXT), ("input", 1, "user", "short"), ("output", 0, "assistant", TEXT)],
    ),
    "an attribute called events that is something else": ({"events": '[{"event.name": ""}, 7, "x"]'}, []),
    "no JSON": ({"gen_ai.input.messages": "hello", "gen_ai.output.messages": "[1, null]"}, []),
}


def test_messages_of_every_dialect(store: Store, otlp: Any) -> None:
    spans = [otlp.span(1, number, 0, attributes) for number, (attributes, _) in enumerate(MESSAGES.values(), 1)]
    otlp.take(store, otlp.lines(otlp.traces(*spans)))
    found: dict[str, list[Message]] = {dialect: [] for dialect in MESSAGES}
    for trace, *row in store.query(
        "SELECT trace_id, direction, position, role, content FROM messages WHERE role != '' OR content != '' ORDER BY ALL"
    ).result_rows:
        found[list(MESSAGES)[int(trace, 16) - 1]].append(tuple(row))
    assert found == {dialect: wanted for dialect, (_, wanted) in MESSAGES.items()}


def test_messages_as_events_of_the_span_or_as_log_records(store: Store, otlp: Any) -> None:
    """GenAI up to 1.36: one event for each message."""
    wanted = [("input", 0, "system", "be brief"), ("input", 1, "user", TEXT), ("output", 0, "assistant", "yes")]
    events = [
        {"name": "gen_ai.system.message", "timeUnixNano": "1", "attributes": otlp.attributes({"content": "be brief"})},
        {"name": "retry", "timeUnixNano": "2"},
        {"name": "gen_ai.user.message", "timeUnixNano": "3", "attributes": otlp.attributes({"content": TEXT, "role": "user"})},
        {"name": "gen_ai.choice", "timeUnixNano": "4", "attributes": otlp.attributes({"content": "yes", "role": "assistant"})},
    ]
    bodies = {
        "gen_ai.system.message": {"content": "be brief"},
        "gen_ai.user.message": {"content": TEXT},
        "gen_ai.choice": {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}},
    }
    records = [
        otlp.log(
            body,
            eventName=name,
            timeUnixNano="0",
            observedTimeUnixNano=str(otlp.START + at),
            traceId=otlp.trace_id(2),
            spanId=otlp.span_id(1),
        )
        for at, (name, body) in enumerate(bodies.items())
    ]
    request = otlp.traces(otlp.span(1, 1, events=events), otlp.span(1, 2))
    otlp.take(store, otlp.lines(request, otlp.logs(*reversed(records))))
    for trace in (1, 2):
        rows = store.query(
            "SELECT direction, position, role, content FROM messages WHERE trace_id = {id:String} ORDER BY direction, position",
            {"id": otlp.trace_id(trace)},
        ).result_rows
        assert list(map(tuple, rows)) == wanted


# --- real traces of ten frameworks -------------------------------------------------------------------------------------------------------

Call = tuple[str, str, int | None, int | None, int | None]
"""model, provider, input tokens, output tokens, reasoning tokens of a model call"""
Tool = tuple[str, str | None, str | None]
"""tool, arguments, result"""

GEMINI_ON_VERTEX = "projects/vertex-ai-integration-467711/locations/europe-central2/publishers/google/models/gemini-2.5-flash"
SMALL = "gpt-4o-mini-2024-07-18"

FRAMEWORKS: dict[str, dict[str, Any]] = {
    # Read off the raw data: (kinds), model calls in order, tool calls in order, sessions, messages of model calls.
    "beeai-2025-08-01": {
        # An event is a span there; the prompt and the answer of one call are different spans, and no span has usage.
        "kinds": {"agent": 18, "node": 3, "llm": 5, "tool": 3},
        "calls": [("gpt-4o-mini", "openai", None, None, None)] * 5,
        "tools": {
            ("tool.search.wikipedia.start-12", '{"query":"Tourism in Barcelona","full_text":false}', None),
            ("tool.search.wikipedia.success-12", '{"query":"Tourism in Barcelona","full_text":false}', "3379 characters"),
            ("tool.search.wikipedia.finish-12", None, None),
        },
        "messages": {("input", 0, "system"): 3, ("input", 1, "user"): 3},
    },
    "google-adk-2025-08-28": {
        "kinds": {"node": 1, "agent": 1, "llm": 2, "tool": 1},
        "calls": [("gemini-2.0-flash", "gcp.vertex.agent", 28, 3, None), ("gemini-2.0-flash", "gcp.vertex.agent", 39, 6, None)],
        "tools": {("say_hello", "{}", '{"greeting": "Hello Langfuse 👋"}')},
        "session": "demo-session",
        "messages": {("input", 0, "system"): 2, ("input", 1, "user"): 2, ("input", 3, "tool"): 1, ("output", 0, "model"): 2},
        "said": ("input", 1, "hi"),
    },
    "llamaindex-2025-06-05": {
        "kinds": {"other": 1, "llm": 1},
        "calls": [("gpt-4o", "openai", 13, 81, 0)],
        "tools": set(),
        "messages": {},
    },
    "microsoft-agent-2025-12-17": {
        # The agent's span carries no usage in its attributes, so nothing is repeated.
        "kinds": {"agent": 1, "llm": 2, "tool": 1},
        "calls": [("gpt-5-mini-2025-08-07", "openai", 77, 86, None), ("gpt-5-mini-2025-08-07", "openai", 216, 20, None)],
        "tools": {("get_weather", None, None)},
        "session": "resp_0e32bda5b6259ecd00694279e271348194a818447145cd1763",
        "messages": {("system", 0, "system"): 1},
        "said": ("system", 0, "You are a helpful assistant."),
    },
    "openai-agents-2025-09-30": {
        "kinds": {"agent": 2, "llm": 2, "tool": 1},
        "calls": [("gpt-4.1-2025-04-14", "openai", 55, 15, 0), ("gpt-4.1-2025-04-14", "openai", 85, 29, 0)],
        "tools": {("get_weather", '{"city":"Tokyo"}', "The weather in Tokyo is sunny.")},
        "messages": {("input", 0, "system"): 2, ("input", 1, "user"): 2, ("input", 2, "assistant"): 1, ("input", 3, "tool"): 1, ("output", 0, "assistant"): 2},
        "said": ("input", 1, "What's the weather in Tokyo?"),
    },
    "pydantic-ai-2025-06-06": {
        "kinds": {"other": 1, "agent": 1, "llm": 1},
        "calls": [("gpt-4o-2024-08-06", "openai", 31, 96, None)],  # the agent repeats 31 and 96
        "tools": set(),
        "messages": {("input", 0, "system"): 1, ("input", 1, "user"): 1, ("output", 0, "assistant"): 1},
        "said": ("input", 0, "You are a helpful assistant that answers questions clearly and concisely."),
    },
    "pydantic-ai-tools-2025-12-04": {
        "kinds": {"other": 2, "agent": 3, "llm": 4, "tool": 3},
        "calls": [(SMALL, "openai", 265, 73, None), (SMALL, "openai", 417, 53, None), (SMALL, "openai", 502, 14, None), (SMALL, "openai", 131, 69, None)],
        "tools": {
            ("get_pun_suggestion", '{"topic": "programming"}', "Pun idea: Play on words related to 'programming' - think about homophones or double meanings"),
            ("get_dad_joke_suggestion", '{"topic": "programming"}', "Dad joke idea: Use a classic setup-punchline format about 'programming' with a groan-worthy twist"),
            ("get_one_liner_suggestion", '{"topic": "programming"}', "One-liner idea: Make a quick, witty observation about 'programming' in a single sentence"),
        },
        "messages": {},
        "reported": 0.00008355 + 0.00009435 + 0.0000837 + 0.00006105,
    },
    "pydantic-ai-with-gemini-2025-12-24": {
        "kinds": {"llm": 1},
        "calls": [("gemini-2.5-flash", "google-gla", 40, 159, 121)],
        "tools": set(),
        "messages": {},
        "reported": 0.0004095,
    },
    "vercel-aisdk-2025-11-17": {
        "kinds": {"node": 1, "llm": 1, "tool": 1},
        "calls": [("gpt-5-2025-08-07", "openai.responses", 62, 85, None)],  # ai.generateText repeats 62 and 85
        "tools": {("getWeather", None, None)},
        "messages": {},
    },
    "vertex-ai-2025-08-01": {
        "kinds": {"llm": 1},
        "calls": [(GEMINI_ON_VERTEX, "", 5, 845, None)],
        "tools": set(),
        "messages": {("input", 0, "user"): 1, ("output", 0, "assistant"): 1},
        "said": ("input", 0, "What is Langfuse?"),
    },
}  # fmt: skip


def test_real_traces_of_ten_frameworks(store: Store, otlp: Any, shared_data: SharedData) -> None:
    requests = {framework: as_otlp(shared_data(f"framework_traces/{framework}.trace.json")) for framework in FRAMEWORKS}
    taken = otlp.take(store, otlp.lines(*requests.values()))
    assert (taken.requests, taken.faulty) == (10, 0)
    for framework, request in requests.items():
        trace = request["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["traceId"]
        assert (framework, came_out(store, trace, FRAMEWORKS[framework])) == (framework, FRAMEWORKS[framework])


def came_out(store: Store, trace: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """What the views say of a trace, under the names of ``wanted`` and as much of it."""

    def rows(query: str) -> list[tuple[Any, ...]]:
        return list(map(tuple, store.query(query, {"id": trace}).result_rows))

    calls = rows(
        "SELECT model, provider, input_tokens, output_tokens, reasoning_tokens FROM model_calls WHERE trace_id = {id:String} ORDER BY start_ns, span_id"
    )
    messages = rows("SELECT direction, position, role, content FROM messages WHERE trace_id = {id:String}")
    counted = Counter(message[:3] for message in messages)
    found: dict[str, Any] = {
        "kinds": dict(rows("SELECT kind, count() FROM spans WHERE trace_id = {id:String} GROUP BY kind")),
        "calls": calls,
        "tools": set(
            rows(
                "SELECT tool, arguments, if(lengthUTF8(result) > 300, concat(lengthUTF8(result), ' characters'), result) "
                "FROM tool_calls WHERE trace_id = {id:String}"
            )
        ),
        "messages": {message: counted[message] for message in wanted["messages"]},
    }
    if "said" in wanted:
        found["said"] = next(((*at, text) for *at, _, text in messages if (*at, text) == wanted["said"]), None)
    if "session" in wanted:
        [[found["session"]]] = rows("SELECT session_id FROM runs WHERE run_id = {id:String}")
    if "reported" in wanted:
        [[reported]] = rows("SELECT sum(reported_cost_usd) FROM model_calls WHERE trace_id = {id:String}")
        found["reported"] = pytest.approx(reported, rel=1e-9)
    return found
