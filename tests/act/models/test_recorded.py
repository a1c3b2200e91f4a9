"""Every request to a model is a span and a call in the ledger, whoever serves it and however it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic_ai import Agent
from pydantic_ai import messages as pa
from pydantic_ai.exceptions import ModelTimeoutError
from pydantic_ai.models import ModelRequestParameters
from pydantic_ai.models.function import FunctionModel
from pydantic_ai.usage import RequestUsage

from clew.act.workflow import calls
from clew.act.workflow.calls import ModelCall
from clew.act.workflow.completion import complete
from clew.act.workflow.models.names import model
from clew.act.workflow.models.recorded import RecordedModel
from clew.errors import ModelError
from clew.model.usage import Usage
from clew.testing import Answer, Broken, Hang, ModelServer, Raw, RecordedSpan, Refusal, recording
from clew.testing.model_server import Reply

TEXT = "An answer of some length, so that a stream has pieces."
USAGE = Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64, cache_write_tokens=0, reasoning_tokens=5)
MODELS = {
    "openai:gpt-4.1": lambda server: server.url,
    "ollama:qwen3": lambda server: server.url,
    "groq:llama-3.3-70b-versatile": lambda server: server.anthropic_url,
    "anthropic:claude-sonnet-5": lambda server: server.anthropic_url,
}
NAMES = [*MODELS]


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI", "ANTHROPIC", "GROQ"):
        monkeypatch.setenv(f"{name}_API_KEY", "sk-a-key-of-nobody-0123456789")


class Outcome:
    def __init__(self, found: pa.ModelResponse | BaseException, call: ModelCall, span: RecordedSpan, lines: bytes) -> None:
        self.response = found if isinstance(found, pa.ModelResponse) else None
        self.error = found if isinstance(found, BaseException) else None
        self.call, self.span, self.lines = call, span, lines

    @property
    def said(self) -> Any:
        """Texts of the answer in the record."""
        messages = json.loads(self.span.attributes.get("gen_ai.output.messages", "[]"))
        return [part["content"] for message in messages for part in message["parts"]]


def ask(name: str, reply: Reply, *, stream: bool = False, timeout_s: float = 30.0) -> Outcome:
    """One request to the model, and the one span and the one call that it left."""

    async def asked(server: ModelServer) -> pa.ModelResponse:
        messages: list[pa.ModelMessage] = [pa.ModelRequest.user_text_prompt("hi")]
        async with model(name, base_url=MODELS[name](server), timeout_s=timeout_s) as found:
            if not stream:
                return await found.request(messages, None, ModelRequestParameters())
            async with found.request_stream(messages, None, ModelRequestParameters()) as events:
                async for _ in events:
                    pass
                return events.get()

    with ModelServer([reply]) as server, recording() as record, calls.collecting() as ledger:
        try:
            outcome: pa.ModelResponse | BaseException = complete(asked(server))
        except Exception as error:
            outcome = error
    (span,) = record.spans
    (call,) = ledger.take()
    assert len(server.asked) == 1 or isinstance(
        reply, Hang
    )  # no client repeats a request by itself; on a busy machine none may be sent in time
    return Outcome(outcome, call, span, b"".join(record.lines))


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_an_answer_is_recorded_with_the_providers_own_figures(name: str, stream: bool) -> None:
    done = ask(name, Answer(TEXT, usage=USAGE, model="answered-1"), stream=stream)
    provider, _, asked = name.partition(":")
    assert done.response is not None
    assert done.response.text == TEXT
    assert done.call.usage is not None
    assert (done.call.usage.input_tokens, done.call.usage.output_tokens, done.call.usage.cache_read_tokens) == (100, 20, 64)
    assert (done.call.model, done.call.provider, done.call.error, done.call.prompt) == ("answered-1", provider, None, "hi")
    assert (done.span.kind, done.span.name, done.span.status) == ("llm", "chat", "ok")
    attributes = done.span.attributes
    shown = {
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": asked,
        "gen_ai.response.model": "answered-1",
        "gen_ai.request.stream": stream,
        "gen_ai.usage.input_tokens": 100,
        "gen_ai.usage.output_tokens": 20,
        "gen_ai.usage.cache_read.input_tokens": 64,
        "clew.usage.source": "provider",
    }
    assert {key: attributes.get(key) for key in shown} == shown
    assert done.said == [TEXT]
    assert json.loads(attributes["gen_ai.input.messages"]) == [{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]
    assert ("gen_ai.response.time_to_first_chunk" in attributes) is stream
    raw = json.loads(attributes["clew.usage.raw"])
    assert raw["output_tokens" if provider == "anthropic" else "completion_tokens"] == 20


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES[:3])
def test_a_cost_that_the_provider_reports_is_kept(name: str, stream: bool) -> None:
    done = ask(name, Answer(TEXT, cost=0.0125), stream=stream)
    assert done.call.cost_usd == 0.0125
    assert done.span.attributes["clew.cost.usd"] == 0.0125


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES[:3])
def test_usage_that_was_not_reported_is_unknown(name: str, stream: bool) -> None:
    done = ask(name, Answer(TEXT, usage=False), stream=stream)
    assert done.call.usage is None
    assert done.call.cost_usd is None
    assert "gen_ai.usage.input_tokens" not in done.span.attributes


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("fault", "kind", "recorded", "told"),
    [
        (Refusal(429, "slow down", retry_after=2), "rate_limit", "rate_limit", "is rate limited (HTTP 429: slow down); it asks to wait 2 s; give the node a retry with a wait, or fallback_models"),
        (Refusal(500, "boom"), "error", "ModelServerError", "failed (HTTP 500: boom); retry, or use fallback_models"),
        (Refusal(401, "who?"), "error", "ModelAuthenticationError", "refused the key (HTTP 401: who?); check the provider's key variable"),
        (Refusal(404, "what?"), "error", "ModelNotFoundError", "is not there (HTTP 404: what?); check the model's name and base_url"),
    ],
)  # fmt: skip
def test_a_refusal_is_told_by_its_kind(name: str, stream: bool, fault: Refusal, kind: str, recorded: str, told: str) -> None:
    done = ask(name, fault, stream=stream)
    assert isinstance(done.error, ModelError)
    assert str(done.error).startswith(f"{name} at http://127.0.0.1:")
    assert str(done.error).endswith(told)
    assert (done.error.kind, done.error.retry_after_s) == (kind, fault.retry_after)
    assert done.call.error == done.span.attributes["error.type"] == recorded
    assert done.span.status == "error"
    assert done.call.model == name.partition(":")[2]
    assert "gen_ai.response.model" not in done.span.attributes  # nobody answered
    assert done.call.usage == (Usage(input_tokens=0, output_tokens=0) if fault.status < 500 else None)  # after a 500 nobody knows


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "body", [b"<html>Bad gateway</html>", b"", b"{}", b"null", b'{"choices": []}'], ids=["html", "nothing", "object", "null", "choices"]
)
def test_what_is_no_answer_is_an_error_that_says_so(name: str, stream: bool, body: bytes) -> None:
    done = ask(name, Raw(body), stream=stream)
    assert isinstance(done.error, ModelError)
    assert "sent what is no answer" in str(done.error)
    assert done.error.kind == "error"
    assert done.span.status == "error"


@pytest.mark.parametrize("name", NAMES[:3])
def test_an_answer_that_nobody_can_read_keeps_its_usage_and_cost(name: str) -> None:
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57, "cost": 0.5}
    done = ask(name, Raw(json.dumps({"model": "m-1", "choices": "none", "usage": usage}).encode()))
    assert isinstance(done.error, ModelError)
    assert done.call.usage is not None
    assert (done.call.usage.input_tokens, done.call.usage.output_tokens, done.call.cost_usd) == (50, 7, 0.5)
    assert done.call.model == "m-1"
    assert done.span.attributes["gen_ai.usage.input_tokens"] == 50
    assert done.span.attributes["clew.cost.usd"] == 0.5


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_server_that_hangs_is_a_time_out(name: str, stream: bool) -> None:
    done = ask(name, Hang(), stream=stream, timeout_s=0.2)
    assert isinstance(done.error, ModelError)
    assert done.error.kind == "timeout"
    assert done.call.error == done.span.attributes["error.type"] == "timeout"
    assert str(done.error).endswith("did not answer within 0.2 s; raise timeout_s, or check that the server answers")
    assert done.call.usage is None


@pytest.mark.parametrize("stream", [False, True])
def test_a_server_that_sends_a_piece_now_and_then_is_a_time_out_too(stream: bool) -> None:
    """The time is that of the whole answer: each piece comes in good time here."""
    with ModelServer([Answer("x" * 24 * 500)], piece_s=0.02) as server, calls.collecting() as ledger:

        async def asked() -> None:
            async with model("openai:gpt-4.1", base_url=server.url, timeout_s=0.3) as found:
                messages: list[pa.ModelMessage] = [pa.ModelRequest.user_text_prompt("hi")]
                if not stream:
                    await found.request(messages, None, ModelRequestParameters())
                    return
                async with found.request_stream(messages, None, ModelRequestParameters()) as events:
                    async for _ in events:
                        pass

        with pytest.raises(ModelError, match=r"did not answer within 0\.3 s") as raised:
            complete(asked())
    assert raised.value.kind == "timeout"
    assert [call.error for call in ledger.take()] == ["timeout"]


@pytest.mark.parametrize("cleanly", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_stream_that_breaks_off_keeps_what_came(name: str, cleanly: bool) -> None:
    done = ask(name, Broken(Answer(TEXT), events=3, cleanly=cleanly), stream=True)
    assert isinstance(done.error, ModelError)
    assert "broke off" in str(done.error)
    (said,) = done.said
    assert TEXT.startswith(said)
    assert said
    assert done.span.status == "error"
    assert "gen_ai.response.finish_reasons" not in done.span.attributes
    assert "gen_ai.response.time_to_first_chunk" in done.span.attributes
    if name.startswith("anthropic"):  # which says at the start what went in
        assert done.call.usage is not None
        assert done.call.usage.output_tokens == 1


def test_an_answer_that_the_library_streams_unasked_is_not_taken_for_whole_when_it_was_cut() -> None:
    done = ask("anthropic:claude-sonnet-5", Broken(Answer(TEXT), events=3, cleanly=True))
    assert isinstance(done.error, ModelError)
    assert "broke off" in str(done.error)
    assert TEXT.startswith(done.said[0])


def test_a_reader_that_stops_leaves_a_call_with_what_came() -> None:
    async def asked(server: ModelServer) -> None:
        async with (
            model("openai:gpt-4.1", base_url=server.url) as found,
            found.request_stream([pa.ModelRequest.user_text_prompt("hi")], None, ModelRequestParameters()) as events,
        ):
            async for _ in events:
                break

    with ModelServer([Answer(TEXT)]) as server, recording() as record, calls.collecting() as ledger:
        complete(asked(server))
    (call,) = ledger.take()
    (span,) = record.spans
    assert (call.error, call.usage, span.status) == (None, None, "ok")
    assert [event["name"] for event in span.events] == ["stream left before its end"]


def test_what_the_reader_raises_is_its_own_and_the_call_is_counted() -> None:
    async def asked(server: ModelServer) -> None:
        async with (
            model("openai:gpt-4.1", base_url=server.url) as found,
            found.request_stream([pa.ModelRequest.user_text_prompt("hi")], None, ModelRequestParameters()) as events,
        ):
            async for _ in events:
                raise LookupError("mine")

    with ModelServer([Answer(TEXT)]) as server, calls.collecting() as ledger, pytest.raises(LookupError, match="mine"):
        complete(asked(server))
    assert [call.error for call in ledger.take()] == ["LookupError"]


def test_a_call_that_is_cancelled_is_counted_and_stays_cancelled() -> None:
    async def asked(server: ModelServer) -> None:
        async with model("openai:gpt-4.1", base_url=server.url) as found:
            request = found.request([pa.ModelRequest.user_text_prompt("hi")], None, ModelRequestParameters())
            task = asyncio.ensure_future(request)
            while not server.asked:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    with ModelServer([Hang()]) as server, recording() as record, calls.collecting() as ledger:
        complete(asked(server))
    assert [call.error for call in ledger.take()] == ["CancelledError"]
    assert record.tree() == ["llm chat !"]


def test_a_server_that_is_not_there_is_named() -> None:
    async def asked() -> None:
        async with model("openai:gpt-4.1", base_url="http://127.0.0.1:9/v1") as found:
            await found.request([pa.ModelRequest.user_text_prompt("hi")], None, ModelRequestParameters())

    with calls.collecting() as ledger, pytest.raises(ModelError, match=r"^openai:gpt-4.1 at http://127.0.0.1:9/v1/ could not be reached"):
        complete(asked())
    (call,) = ledger.take()
    assert (call.error, call.usage) == ("ModelConnectionError", Usage(input_tokens=0, output_tokens=0))  # it was never sent


@pytest.mark.parametrize("name", NAMES)
def test_a_key_that_a_server_repeats_is_in_no_message_and_no_record(name: str) -> None:
    done = ask(name, Refusal(401, "Incorrect API key provided: sk-a-key-of-nobody-0123456789"))
    assert "sk-a-key-of-nobody" not in str(done.error)
    assert b"sk-a-key-of-nobody" not in done.lines


def agent_on(answer: Callable[..., pa.ModelResponse]) -> tuple[Agent, RecordedModel]:
    found = RecordedModel(FunctionModel(answer), name="function")
    return Agent(found), found


def test_any_model_of_the_library_is_recorded_also_one_without_http() -> None:
    def answer(messages: list[pa.ModelMessage], info: Any) -> pa.ModelResponse:
        return pa.ModelResponse([pa.TextPart("ok")], usage=RequestUsage(input_tokens=7, output_tokens=1))

    agent, _ = agent_on(answer)
    with recording() as record, calls.collecting() as ledger:
        assert complete(agent.run("hi", infer_name=False)).output == "ok"
    (call,) = ledger.take()
    assert call.usage == Usage(input_tokens=7, output_tokens=1)
    assert call.model.startswith("function:")
    assert record.span("chat").attributes["gen_ai.usage.output_tokens"] == 1


def test_a_time_out_that_a_library_found_is_a_time_out() -> None:
    def answer(messages: list[pa.ModelMessage], info: Any) -> pa.ModelResponse:
        raise ModelTimeoutError("m", "slow")

    agent, _ = agent_on(answer)
    with recording() as record, calls.collecting() as ledger, pytest.raises(ModelError) as raised:
        complete(agent.run("hi", infer_name=False))
    assert raised.value.kind == record.span("chat").attributes["error.type"] == ledger.take()[0].error == "timeout"


def test_nothing_is_recorded_or_counted_where_nobody_asks() -> None:
    def answer(messages: list[pa.ModelMessage], info: Any) -> pa.ModelResponse:
        return pa.ModelResponse([pa.TextPart("ok")])

    agent, _ = agent_on(answer)
    assert complete(agent.run("hi", infer_name=False)).output == "ok"


def test_tools_and_instructions_are_recorded_in_the_fields_form() -> None:
    def answer(messages: list[pa.ModelMessage], info: Any) -> pa.ModelResponse:
        if len(messages) == 1:
            return pa.ModelResponse([pa.ToolCallPart("add", {"a": 1}, "call-1")])
        return pa.ModelResponse([pa.ThinkingPart("so"), pa.TextPart("2")])

    def add(a: int) -> int:
        """Adds one."""
        return a + 1

    agent = Agent(RecordedModel(FunctionModel(answer)), instructions="Count.", tools=[add])
    with recording() as record:
        complete(agent.run("hi", infer_name=False))
    second = record.spans[-1].attributes
    assert json.loads(second["gen_ai.system_instructions"]) == [{"type": "text", "content": "Count."}]
    assert json.loads(second["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "hi"}]},
        {"role": "assistant", "parts": [{"type": "tool_call", "id": "call-1", "name": "add", "arguments": {"a": 1}}]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call-1", "name": "add", "response": 2}]},
    ]
    (tool,) = json.loads(second["gen_ai.tool.definitions"])
    assert (tool["name"], tool["description"]) == ("add", "Adds one.")
    assert json.loads(second["gen_ai.output.messages"])[0]["parts"] == [
        {"type": "reasoning", "content": "so"},
        {"type": "text", "content": "2"},
    ]
