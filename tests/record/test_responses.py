"""A provider's response, as the client library gives it or as a dict, becomes the field's standard attributes."""

from __future__ import annotations

import json
from typing import Any

import pytest

import clew
from clew.testing import RecordedSpan, recording


def record_of(response: Any, **keywords: Any) -> RecordedSpan:
    with recording() as record, clew.llm("chat", **keywords) as span:
        span.response(response)
    return record.span("chat")


OPENAI = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o-2024-08-06",
    "choices": [
        {
            "index": 0,
            "finish_reason": "tool_calls",
            "message": {
                "role": "assistant",
                "content": None,
                "reasoning_content": "I need it",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "search", "arguments": '{"q":"x"}'}}],
            },
        }
    ],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "prompt_tokens_details": {"cached_tokens": 8}},
}
RESPONSES = {
    "id": "resp_1",
    "object": "response",
    "status": "completed",
    "model": "gpt-5",
    "output": [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hi"}]},
        {"type": "function_call", "call_id": "c2", "name": "f", "arguments": "{}"},
    ],
    "usage": {"input_tokens": 10, "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 4}},
}
ANTHROPIC = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-x",
    "stop_reason": "tool_use",
    "content": [
        {"type": "thinking", "thinking": "so"},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
    ],
    "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5, "cache_creation_input_tokens": 2},
}
GEMINI = {
    "responseId": "g1",
    "modelVersion": "gemini-x",
    "candidates": [
        {
            "finishReason": "STOP",
            "content": {"role": "model", "parts": [{"text": "Hi"}, {"functionCall": {"name": "f", "args": {"a": 1}}}]},
        }
    ],
    "usageMetadata": {"promptTokenCount": 23, "candidatesTokenCount": 5, "totalTokenCount": 28},
}
TEXT = {"type": "text", "content": "Hi"}

CASES: dict[str, tuple[Any, str, str, list[str], list[Any], dict[str, int]]] = {
    "OpenAI chat completions": (
        OPENAI,
        "chatcmpl-1",
        "gpt-4o-2024-08-06",
        ["tool_calls"],
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "I need it"},
                    {"type": "tool_call", "id": "c1", "name": "search", "arguments": {"q": "x"}},
                ],
                "finish_reason": "tool_calls",
            }
        ],
        {"input_tokens": 20, "output_tokens": 5, "cache_read.input_tokens": 8},
    ),
    "OpenAI responses": (
        RESPONSES,
        "resp_1",
        "gpt-5",
        ["completed"],
        [
            {"role": "assistant", "parts": [{"type": "reasoning", "content": "hm"}]},
            {"role": "assistant", "parts": [TEXT]},
            {"role": "assistant", "parts": [{"type": "tool_call", "id": "c2", "name": "f", "arguments": {}}]},
        ],
        {"input_tokens": 10, "output_tokens": 7, "reasoning.output_tokens": 4},
    ),
    "Anthropic": (
        ANTHROPIC,
        "msg_1",
        "claude-x",
        ["tool_use"],
        [
            {
                "role": "assistant",
                "parts": [
                    {"type": "reasoning", "content": "so"},
                    TEXT,
                    {"type": "tool_call", "id": "t1", "name": "f", "arguments": {"a": 1}},
                ],
                "finish_reason": "tool_use",
            }
        ],
        {"input_tokens": 10, "output_tokens": 4, "cache_read.input_tokens": 5, "cache_creation.input_tokens": 2},
    ),
    "Gemini": (
        GEMINI,
        "g1",
        "gemini-x",
        ["STOP"],
        [{"role": "assistant", "parts": [TEXT, {"type": "tool_call", "name": "f", "arguments": {"a": 1}}], "finish_reason": "STOP"}],
        {"input_tokens": 23, "output_tokens": 5},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_response_as_a_dict(case: Any) -> None:
    response, response_id, model, reasons, messages, usage = case
    found = record_of(response, model="asked-for").attributes
    assert found["gen_ai.request.model"] == "asked-for"
    assert found["gen_ai.response.id"] == response_id
    assert found["gen_ai.response.model"] == model
    assert found["gen_ai.response.finish_reasons"] == reasons
    assert json.loads(found["gen_ai.output.messages"]) == messages
    assert {name: found[f"gen_ai.usage.{name}"] for name in usage} == usage
    assert found["clew.usage.source"] == "provider"
    assert json.loads(found["clew.usage.raw"]) == response.get("usage", response.get("usageMetadata"))


def test_the_client_librarys_object_says_the_same_as_the_dict() -> None:
    types = pytest.importorskip("openai.types.chat", reason="not applicable: openai is not installed")
    whole = {**OPENAI, "created": 1}
    as_object, as_dict = record_of(types.ChatCompletion.model_validate(whole)), record_of(whole)
    for name in ("gen_ai.output.messages", "gen_ai.usage.input_tokens", "gen_ai.response.model", "gen_ai.response.finish_reasons"):
        assert as_object.attributes[name] == as_dict.attributes[name]


def test_a_response_of_unknown_shape_is_the_output() -> None:
    assert record_of({"odd": 1}).attributes["gen_ai.output.messages"] == '[{"odd":1}]'
    assert record_of("just text").attributes["gen_ai.output.messages"] == (
        '[{"role":"assistant","parts":[{"type":"text","content":"just text"}]}]'
    )


def test_the_messages_that_a_model_is_given_in_any_providers_form() -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "image_url", "image_url": {"url": "https://x/y.png"}}]},
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "7"}]},
        {"role": "model", "parts": [{"text": "Hi"}]},
        {"role": "user", "parts": [TEXT]},
        {"role": "user", "content": [{"type": "novel", "x": 1}]},
    ]
    with recording() as record, clew.llm("chat", messages=messages, system="Rules", tools=[{"name": "f"}]):
        pass
    found = record.span("chat").attributes
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "system", "parts": [{"type": "text", "content": "Be brief."}]},
        {"role": "user", "parts": [TEXT, {"type": "uri", "uri": "https://x/y.png", "modality": "image"}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "42"}]},
        {"role": "user", "parts": [{"type": "tool_call_response", "id": "t1", "response": "7"}]},
        {"role": "assistant", "parts": [TEXT]},
        {"role": "user", "parts": [TEXT]},
        {"role": "user", "parts": [{"type": "novel", "x": 1}]},
    ]
    assert json.loads(found["gen_ai.system_instructions"]) == [{"type": "text", "content": "Rules"}]
    assert json.loads(found["gen_ai.tool.definitions"]) == [{"name": "f"}]


def test_usage_given_in_each_way() -> None:
    def usage_of(*given: Any, **tokens: Any) -> dict[str, Any]:
        with recording() as record, clew.llm("chat") as span:
            span.usage(*given, **tokens)
        values = record.span("chat").attributes
        return {name.removeprefix("gen_ai.usage."): value for name, value in values.items() if name.startswith("gen_ai.usage.")}

    assert usage_of(clew.Usage(input_tokens=1, output_tokens=2)) == {"input_tokens": 1, "output_tokens": 2}
    assert usage_of({"prompt_tokens": 1, "completion_tokens": 2}) == {"input_tokens": 1, "output_tokens": 2}
    assert usage_of(input_tokens=1, cache_read_tokens=1) == {"input_tokens": 1, "cache_read.input_tokens": 1}
    assert usage_of({"nothing": "known"}) == {}


def test_a_running_total_replaces_the_one_before() -> None:
    with recording() as record, clew.llm("chat") as span:
        for tokens in (1, 5, 9):
            span.usage(output_tokens=tokens)
    assert record.span("chat").attributes["gen_ai.usage.output_tokens"] == 9


def test_a_cost_that_the_provider_reports_is_kept() -> None:
    found = record_of({**OPENAI, "usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.25}})
    assert found.attributes["clew.cost.usd"] == 0.25


def test_time_to_the_first_chunk() -> None:
    with recording() as record, clew.llm("chat") as span:
        record.clock.advance(1.5)
        span.first_chunk()
        record.clock.advance(1)
        span.first_chunk()
    assert record.span("chat").attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(1.5, abs=0.001)


def test_an_agent_and_an_embedding_take_usage_too() -> None:
    with recording() as record, clew.embedding("embed", model="e", usage={"prompt_tokens": 4, "total_tokens": 4}):
        pass
    assert record.span("embed").attributes["gen_ai.usage.input_tokens"] == 4
