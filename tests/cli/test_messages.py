"""Messages come out the same, whichever dialect recorded them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clew.cli.messages import Message, messages

CALL = '→ search({"q":"x"})'
EXPECTED = [Message("system", "Be brief."), Message("user", "Find x"), Message("assistant", CALL)]

DIALECTS: dict[str, tuple[dict[str, str], dict[str, str]]] = {
    "GenAI": (
        {},
        {
            "gen_ai.system_instructions": json.dumps([{"type": "text", "content": "Be brief."}]),
            "gen_ai.input.messages": json.dumps([{"role": "user", "parts": [{"type": "text", "content": "Find x"}]}]),
            "gen_ai.output.messages": json.dumps(
                [{"role": "assistant", "parts": [{"type": "tool_call", "id": "1", "name": "search", "arguments": {"q": "x"}}], "finish_reason": "tool_calls"}]
            ),
        },
    ),
    "OpenInference": (
        {
            "llm.input_messages.0.message.role": "system",
            "llm.input_messages.1.message.role": "user",
            "llm.output_messages.0.message.role": "assistant",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.name": "search",
        },
        {
            "llm.input_messages.1.message.contents.0.message_content.text": "Find x",
            "llm.input_messages.0.message.content": "Be brief.",
            "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments": '{"q":"x"}',
            "input.value": "all of it once more",
        },
    ),
    "OpenLLMetry": (
        {"gen_ai.prompt.0.role": "system", "gen_ai.prompt.1.role": "user", "gen_ai.completion.0.role": "assistant", "gen_ai.completion.0.tool_calls.0.name": "search"},
        {"gen_ai.prompt.0.content": "Be brief.", "gen_ai.prompt.1.content": "Find x", "gen_ai.completion.0.tool_calls.0.arguments": '{"q":"x"}'},
    ),
    "OpenAI's format in Langfuse's keys": (
        {},
        {
            "langfuse.observation.input": json.dumps([{"role": "system", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Find x"}]}]),
            "langfuse.observation.output": json.dumps(
                {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": {"name": "search", "arguments": '{"q":"x"}'}}]}
            ),
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_dialect(dialect: str) -> None:
    assert messages(*DIALECTS[dialect]) == EXPECTED


def test_ten_messages_and_more_keep_their_order() -> None:
    contents = {f"llm.input_messages.{i}.message.content": str(i) for i in reversed(range(12))}
    assert [message.text for message in messages({}, contents)] == [str(i) for i in range(12)]


def test_what_is_no_message_is_shown_as_it_is() -> None:
    assert messages({}, {"gen_ai.input.messages": "no {json"}) == [Message("user", "no {json")]
    assert messages({}, {"output.value": '{"answer": 42}'}) == [Message("assistant", '{"answer": 42}')]
    assert messages({}, {}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "parts", "content", "type", "tool_calls", "function", "name", "text"]), inner, max_size=5
        )
    ),
    max_leaves=20,
)


@given(JSON)
def test_any_json_is_read_without_an_error(value: object) -> None:
    for message in messages({}, {"gen_ai.input.messages": json.dumps(value)}):
        assert isinstance(message.role, str)
        assert isinstance(message.text, str)
