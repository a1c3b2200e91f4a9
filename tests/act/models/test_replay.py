"""Recorded exchanges are served again: the same answer to the same request, a clear error to any other, and nothing is charged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_ai import Agent
from pydantic_ai import messages as pa
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.settings import ModelSettings

from clew.act.workflow import calls
from clew.act.workflow.completion import complete
from clew.act.workflow.models.messages import answer, response_parts
from clew.act.workflow.models.names import model
from clew.act.workflow.models.replay import Request
from clew.errors import ModelError
from clew.model.usage import Usage
from clew.testing import Answer, ModelServer, Refusal, recording
from clew.testing.model_server import Script
from clew.wire.redaction import redact_text


async def ask(name: str, prompt: str, *, stream: bool = False, settings: ModelSettings | None = None, **options: Any) -> pa.ModelResponse:
    async with model(name, **options) as found:
        messages: list[pa.ModelMessage] = [pa.ModelRequest.user_text_prompt(prompt)]
        if not stream:
            return await found.request(messages, settings, ModelRequestParameters())
        async with found.request_stream(messages, settings, ModelRequestParameters()) as events:
            async for _ in events:
                pass
            return events.get()


def record(file: Path, script: Script, *prompts: str, settings: ModelSettings | None = None) -> None:
    with ModelServer(script) as server:
        for prompt in prompts:
            complete(ask("openai:gpt-4.1", prompt, base_url=server.url, record_to=file, settings=settings))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "exchanges.jsonl"


@pytest.mark.parametrize("stream", [False, True])
def test_the_recorded_answer_comes_with_its_usage_and_costs_nothing(file: Path, stream: bool) -> None:
    usage = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64, reasoning_tokens=5)
    record(file, [Answer("Hello.", usage=usage, model="gpt-4.1-2025-04-14", cost=0.5)], "hi")
    with recording() as kept, calls.collecting() as ledger:
        response = complete(ask(f"replay:{file}", "hi", stream=stream))
    assert (response.text, response.model_name, response.finish_reason) == ("Hello.", "gpt-4.1-2025-04-14", "stop")
    (call,) = ledger.take()
    assert call.usage is not None
    assert (call.usage.input_tokens, call.usage.output_tokens, call.usage.cache_read_tokens, call.usage.reasoning_tokens) == (
        100,
        20,
        64,
        5,
    )
    assert (call.model, call.provider, call.served_from_cache, call.cost_usd) == ("gpt-4.1-2025-04-14", "openai", True, None)
    assert call.entry()["cost_usd"] == 0.0
    attributes = kept.span("chat").attributes
    assert attributes["clew.cache.hit"] is True
    assert attributes["gen_ai.provider.name"] == "openai"
    assert "clew.cost.usd" not in attributes


def test_an_answer_recorded_from_a_stream_is_served_without_one(file: Path) -> None:
    with ModelServer(["In many pieces, one after the other."]) as server:
        complete(ask("openai:gpt-4.1", "hi", stream=True, base_url=server.url, record_to=file))
    assert complete(ask(f"replay:{file}", "hi")).text == "In many pieces, one after the other."


def test_each_request_gets_its_own_answer_again_and_again(file: Path) -> None:
    record(file, ["one", "two"], "first", "second")
    for _ in range(2):
        assert [complete(ask(f"replay:{file}", prompt)).text for prompt in ("second", "first")] == ["two", "one"]


def test_of_two_answers_to_the_same_request_the_later_counts(file: Path) -> None:
    record(file, ["old", "new"], "hi", "hi")
    assert complete(ask(f"replay:{file}", "hi")).text == "new"


def test_settings_that_change_an_answer_belong_to_the_request(file: Path) -> None:
    record(file, ["cold"], "hi", settings={"temperature": 0.0})
    assert complete(ask(f"replay:{file}", "hi", settings={"temperature": 0.0, "timeout": 5.0, "max_retries": 3})).text == "cold"
    with pytest.raises(ModelError, match="differs in settings"):
        complete(ask(f"replay:{file}", "hi", settings={"temperature": 1.0}))


def test_an_unknown_request_names_the_nearest_and_how_to_record(file: Path) -> None:
    record(file, ["1", "2"], "How many apples are there?", "Who are you?")
    with calls.collecting() as ledger, pytest.raises(ModelError) as raised:
        complete(ask(f"replay:{file}", "How many pears are there?"))
    assert str(raised.value) == (
        f"{file} holds no answer to this request: 'How many pears are there?'; the nearest of 2 is number 1, 'How many apples are there?', "
        "which differs in messages; record it: run once with a live model and record_to set to this file"
    )
    assert [call.error for call in ledger.take()] == ["ModelError"]


def test_a_call_that_failed_is_not_recorded(file: Path) -> None:
    with ModelServer([Refusal(500)]) as server, pytest.raises(ModelError):
        complete(ask("openai:gpt-4.1", "hi", base_url=server.url, record_to=file))
    assert not file.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "{file} holds no exchange; record it"),
        (b"\xff\xfe", "recorded exchanges cannot be read from {file}: it is no UTF-8 text; record some with record_to"),
        (b'{"request": {}}\n{}\n{}\n', "line 1 of {file} is no exchange: KeyError: 'answer'; see docs/models.md"),
        (b'nonsense\n{}\n', "line 1 of {file} is no exchange: JSONDecodeError: "),
        (
            b'{"request": {"messages": []}, "answer": {"parts": [{"type": "smell"}]}}\n{}\n',
            "line 1 of {file} is no exchange: ValueError: an answer has no part of type 'smell'; it may have text, reasoning, tool_call",
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_the_line(file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(ModelError) as raised:
        complete(ask(f"replay:{file}", "hi"))
    assert str(raised.value).startswith(message.format(file=file))


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot be read from .*exchanges\.jsonl: No such file or directory; record some with record_to"):
        model(f"replay:{file}")


def test_a_last_line_that_was_cut_off_costs_only_itself(file: Path) -> None:
    record(file, ["one", "two"], "first", "second")
    file.write_bytes(file.read_bytes()[:-20])
    assert complete(ask(f"replay:{file}", "first")).text == "one"
    with pytest.raises(ModelError, match="holds no answer"):
        complete(ask(f"replay:{file}", "second"))


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        ModelServer(["x"]) as server,
        pytest.raises(ModelError, match=r"the exchange cannot be recorded to .*/file/x: .*; name a file that can be written"),
    ):
        complete(ask("openai:gpt-4.1", "hi", base_url=server.url, record_to=tmp_path / "file" / "x"))


def test_secrets_are_not_in_the_file_and_the_request_is_found_all_the_same(file: Path) -> None:
    prompt = "Use the key sk-proj-abcdefghijklmnop1234567890."
    record(file, ["I will use sk-proj-abcdefghijklmnop1234567890."], prompt)
    assert b"abcdefghijklmnop" not in file.read_bytes()
    assert complete(ask(f"replay:{file}", prompt)).text == "I will use [redacted]."
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_file_is_readable_by_people(file: Path) -> None:
    record(file, [Answer("Grüße", usage=Usage(input_tokens=3, output_tokens=1))], "hi")
    assert json.loads(file.read_text("utf-8")) == {
        "request": {"messages": [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]},
        "answer": {
            "model": "gpt-4.1",
            "provider": "openai",
            "id": "chatcmpl-00000001",
            "parts": [{"type": "text", "content": "Grüße"}],
            "finish_reason": "stop",
            "usage": {"input_tokens": 3, "output_tokens": 1, "cache_read_tokens": 0, "reasoning_tokens": 0, "audio_input_tokens": 0, "audio_output_tokens": 0},
        },
    }  # fmt: skip
    assert "Grüße" in file.read_text("utf-8")


def test_a_conversation_with_tools_is_replayed_step_by_step(file: Path) -> None:
    def add(a: int) -> int:
        """Adds one."""
        return a + 1

    async def run(name: str, **options: Any) -> str:
        async with model(name, **options) as found:
            return (await Agent(found, tools=[add]).run("hi", infer_name=False)).output

    with ModelServer([Answer(calls=(("add", {"a": 1}),)), "2"]) as server:
        live = complete(run("openai:gpt-4.1", base_url=server.url, record_to=file))
    assert complete(run(f"replay:{file}")) == live == "2"
    assert len(file.read_text().splitlines()) == 2


parts = st.one_of(
    st.fixed_dictionaries({"type": st.just("text"), "content": st.text()}),
    st.fixed_dictionaries({"type": st.just("reasoning"), "content": st.text()}),
    st.fixed_dictionaries(
        {
            "type": st.just("tool_call"),
            "id": st.text(min_size=1),
            "name": st.text(min_size=1),
            "arguments": st.dictionaries(st.text(), st.integers() | st.text() | st.none()),
        }
    ),
)


@given(st.lists(parts))
def test_an_answer_survives_the_file(found: list[dict[str, Any]]) -> None:
    assert answer(pa.ModelResponse(response_parts(json.loads(json.dumps(found)))))["parts"] == found


@given(st.text(), st.text())
def test_different_requests_differ_and_equal_ones_are_equal(one: str, other: str) -> None:
    def content(text: str) -> str:
        return Request.of([pa.ModelRequest.user_text_prompt(text)], None, ModelRequestParameters()).content

    assert content(one) == content(one)
    assert (content(one) == content(other)) == (redact_text(one) == redact_text(other))
