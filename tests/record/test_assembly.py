"""A streamed answer says the same as the whole one: pieces of every known shape, and all recorded streams of the test data."""

from __future__ import annotations

import json
import lzma
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import clew
from clew.model.usage import Usage
from clew.record.calls.assembly import Assembly
from clew.testing import RecordedSpan, recording


def record_of(pieces: list[Any], **keywords: Any) -> RecordedSpan:
    with recording() as record, clew.llm("chat", **keywords) as span:
        assembly = Assembly()
        for piece in pieces:
            assembly.add(piece)
        assembly.record(span)
    return record.span("chat")


def told(span: RecordedSpan) -> dict[str, Any]:
    found = span.attributes
    messages = json.loads(found["gen_ai.output.messages"]) if "gen_ai.output.messages" in found else []
    return {
        "parts": [(part["type"], part.get("content", part.get("arguments"))) for message in messages for part in message["parts"]],
        "model": found.get("gen_ai.response.model"),
        "finish": found.get("gen_ai.response.finish_reasons"),
        "tokens": (found.get("gen_ai.usage.input_tokens"), found.get("gen_ai.usage.output_tokens")),
    }


def openai(delta: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "model": "gpt", "choices": [{"index": 0, "delta": delta, **more}]}


def call_delta(index: int, **function: Any) -> dict[str, Any]:
    return openai({"tool_calls": [{"index": index, "id": f"c{index}" if "name" in function else None, "function": function}]})


ANTHROPIC = [
    {"type": "message_start", "message": {"id": "m", "model": "claude", "usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "so"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Hel"}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "lo"}},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": '{"a":'}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "1}"}},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
]
CASES: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "text": (["Hel", "lo"], {"parts": [("text", "Hello")], "model": None, "finish": None, "tokens": (None, None)}),
    "OpenAI chat": (
        [
            openai({"role": "assistant", "content": ""}),
            openai({"reasoning_content": "so"}),
            openai({"content": "Hel"}),
            openai({"content": "lo"}),
            call_delta(0, name="f", arguments=""),
            call_delta(0, arguments='{"a":'),
            call_delta(1, name="g", arguments="{}"),
            call_delta(0, arguments="1}"),
            openai({}, finish_reason="tool_calls"),
            {"id": "c", "model": "gpt", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 5}},
        ],
        {
            "parts": [("reasoning", "so"), ("text", "Hello"), ("tool_call", {"a": 1}), ("tool_call", {})],
            "model": "gpt",
            "finish": ["tool_calls"],
            "tokens": (7, 5),
        },
    ),
    "Groq, whose usage stands elsewhere": (
        [
            openai({"content": "Hello"}, finish_reason="stop"),
            {**openai({}), "x_groq": {"usage": {"prompt_tokens": 7, "completion_tokens": 5}}},
        ],
        {"parts": [("text", "Hello")], "model": "gpt", "finish": ["stop"], "tokens": (7, 5)},
    ),
    "OpenAI responses": (
        [
            {"type": "response.created", "response": {"id": "r", "model": "gpt"}},
            {"type": "response.output_text.delta", "item_id": "i", "delta": "Hello"},
            {
                "type": "response.completed",
                "response": {
                    "id": "r",
                    "model": "gpt",
                    "status": "completed",
                    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}],
                    "usage": {"input_tokens": 7, "output_tokens": 5, "input_tokens_details": {"cached_tokens": 0}},
                },
            },
        ],
        {"parts": [("text", "Hello")], "model": "gpt", "finish": ["completed"], "tokens": (7, 5)},
    ),
    "OpenAI responses, cut": (
        [
            {"type": "response.created", "response": {"id": "r", "model": "gpt"}},
            {"type": "response.output_text.delta", "item_id": "i", "delta": "Hel"},
        ],
        {"parts": [("text", "Hel")], "model": "gpt", "finish": None, "tokens": (None, None)},
    ),
    "Anthropic": (
        ANTHROPIC,
        {
            "parts": [("reasoning", "so"), ("text", "Hello"), ("tool_call", {"a": 1})],
            "model": "claude",
            "finish": ["tool_use"],
            "tokens": (7, 5),
        },
    ),
    "Anthropic, as objects": (
        [json.loads(json.dumps(event), object_hook=lambda fields: SimpleNamespace(**fields)) for event in ANTHROPIC],
        {
            "parts": [("reasoning", "so"), ("text", "Hello"), ("tool_call", {"a": 1})],
            "model": "claude",
            "finish": ["tool_use"],
            "tokens": (7, 5),
        },
    ),
    "Gemini": (
        [
            {"candidates": [{"content": {"parts": [{"text": "so", "thought": True}, {"text": "Hel"}]}}], "modelVersion": "gemini"},
            {"candidates": [{"content": {"parts": [{"text": "lo"}]}}], "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 2}},
            {
                "candidates": [{"content": {"parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]}, "finishReason": "STOP"}],
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 5},
            },
        ],
        {
            "parts": [("reasoning", "so"), ("text", "Hello"), ("tool_call", {"a": 1})],
            "model": "gemini",
            "finish": ["STOP"],
            "tokens": (7, 5),
        },
    ),
    "Bedrock Converse": (
        [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "Hello"}}},
            {"contentBlockStart": {"contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "t", "name": "f"}}}},
            {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":1}'}}}},
            {"messageStop": {"stopReason": "tool_use"}},
            {"metadata": {"usage": {"inputTokens": 7, "outputTokens": 5, "totalTokens": 12}}},
        ],
        {"parts": [("text", "Hello"), ("tool_call", {"a": 1})], "model": None, "finish": ["tool_use"], "tokens": (7, 5)},
    ),
    "Cohere": (
        [
            {"type": "message-start", "id": "m"},
            {"type": "content-start", "index": 0},
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello"}}}},
            {
                "type": "message-end",
                "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": {"input_tokens": 7, "output_tokens": 5}}},
            },
        ],
        {"parts": [("text", "Hello")], "model": None, "finish": ["COMPLETE"], "tokens": (7, 5)},
    ),
    "Ollama": (
        [
            {"model": "llama", "message": {"role": "assistant", "content": "Hel"}, "done": False},
            {"model": "llama", "message": {"role": "assistant", "content": "lo"}, "done": False},
            {"model": "llama", "message": {"content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 7, "eval_count": 5},
        ],
        {"parts": [("text", "Hello")], "model": "llama", "finish": ["stop"], "tokens": (7, 5)},
    ),
    "LangChain": (
        [
            SimpleNamespace(content="Hel", response_metadata={}, id="l"),
            SimpleNamespace(content=[{"text": "lo"}], response_metadata={"model_name": "gpt", "finish_reason": "stop"}, id="l"),
            SimpleNamespace(content="", response_metadata={}, usage_metadata={"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}),
        ],
        {"parts": [("text", "Hello")], "model": "gpt", "finish": ["stop"], "tokens": (7, 5)},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_stream_becomes_one_answer(name: str) -> None:
    pieces, expected = CASES[name]
    assert told(record_of(pieces)) == expected


def test_pieces_of_unknown_shape_are_kept_as_they_are() -> None:
    assert '{"odd":1}' in record_of([{"odd": 1}, {"odd": 2}]).attributes["gen_ai.output.messages"]


def streams(path: Path) -> Iterator[tuple[str, list[Any]]]:
    """Every recorded answer that is a stream of server-sent events, by the name of its file."""
    with lzma.open(path) as stream, tarfile.open(fileobj=stream) as archive:
        for member in archive:
            if not member.isfile() or not member.name.endswith((".yaml", ".yml")):
                continue
            content = archive.extractfile(member)
            assert content is not None
            for exchange in yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)).get("interactions", ()):
                body = (exchange["response"].get("body") or {}).get("string", "")
                text = body.decode("utf-8", "replace") if isinstance(body, bytes) else str(body)
                lines = [line.removeprefix("data:").strip() for line in text.splitlines() if line.startswith("data:")]
                events = [json.loads(line) for line in lines if line.startswith("{")]
                if events and not {"jsonrpc", "method"} & events[0].keys():  # MCP's streams are no model's
                    yield member.name, events


def test_every_recorded_stream_gives_its_text_and_the_same_usage(shared_data: Callable[[str], Path]) -> None:
    seen = 0
    for name, events in streams(shared_data("provider_responses.tar.xz")):
        span = record_of(events)
        usage = Usage.from_stream(events)
        expected = (usage.input_tokens, usage.output_tokens) if usage is not None else (None, None)
        assert told(span)["tokens"] == expected, name
        assert told(span)["parts"] or any("error" in event for event in events), name
        seen += 1
    assert seen == 71
