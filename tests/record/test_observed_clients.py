"""observe_llm of a client: real clients ask a server that speaks their protocol, sync, async and streaming, and behave as before."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

import pytest

import clew
from clew.model.usage import Usage
from clew.testing import Answer, Broken, Hang, ModelServer, RecordedSpan, Refusal, recording

USAGE = Usage(input_tokens=20, output_tokens=5, cache_read_tokens=8)
MESSAGES = [{"role": "user", "content": "Hi"}]
CLIENTS = {"openai": ("OpenAI", "AsyncOpenAI"), "anthropic": ("Anthropic", "AsyncAnthropic"), "groq": ("Groq", "AsyncGroq")}


def client_of(provider: str, server: ModelServer, *, asynchronous: bool = False, **options: Any) -> Any:
    library = importlib.import_module(provider)
    made = getattr(library, CLIENTS[provider][asynchronous])
    url = server.url if provider == "openai" else server.anthropic_url
    return made(base_url=url, api_key="none", max_retries=0, **options)


def ask(client: Any, provider: str, **more: Any) -> Any:
    if provider == "anthropic":
        return client.messages.create(model="m", messages=MESSAGES, system="Be kind", max_tokens=50, **more)
    return client.chat.completions.create(model="m", messages=MESSAGES, max_tokens=50, **more)


def read(provider: str, piece: Any) -> str:
    if provider == "anthropic":
        return getattr(getattr(piece, "delta", None), "text", "") or ""
    return piece.choices[0].delta.content or "" if piece.choices else ""


def check(span: RecordedSpan, provider: str) -> None:
    found = span.attributes
    assert (span.kind, span.name, span.status) == ("llm", "chat", "ok")
    assert (found["gen_ai.provider.name"], found["gen_ai.request.model"], found["gen_ai.response.model"]) == (provider, "m", "m")
    assert found["gen_ai.request.max_tokens"] == 50
    assert '"content":"Hi"' in found["gen_ai.input.messages"]
    assert '"content":"Hello there, friend of all models"' in found["gen_ai.output.messages"]
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (20, 5)
    assert found["gen_ai.usage.cache_read.input_tokens"] == 8


ANSWER = Answer("Hello there, friend of all models", usage=USAGE)


@pytest.mark.parametrize("asynchronous", [False, True], ids=["sync", "async"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("provider", CLIENTS)
def test_a_clients_calls_are_recorded(provider: str, stream: bool, asynchronous: bool) -> None:
    pytest.importorskip(provider, reason=f"needs {provider}")
    more = {"stream": True} if stream else {}

    async def main(client: Any) -> str:
        answer = await ask(client, provider, **more)
        text = "".join([read(provider, piece) async for piece in answer]) if stream else str(answer)
        await client.close()
        return text

    with ModelServer([ANSWER]) as server, recording() as record, clew.agent("a"):
        client = clew.observe_llm(client_of(provider, server, asynchronous=asynchronous), stream_usage=True)
        if asynchronous:
            text = asyncio.run(main(client))
        else:
            answer = ask(client, provider, **more)
            text = "".join(read(provider, piece) for piece in answer) if stream else str(answer)
            client.close()
    assert "Hello there, friend of all models" in text
    span = record.span("chat")
    check(span, provider)
    assert record.tree() == ["agent a", "  llm chat"]
    assert ("gen_ai.response.time_to_first_chunk" in span.attributes) == stream


@pytest.mark.needs("openai")
def test_a_stream_without_usage_is_missing_and_with_stream_usage_the_program_does_not_see_the_additional_chunk() -> None:
    with ModelServer([ANSWER, ANSWER]) as server, recording() as record, client_of("openai", server) as plain:
        without = list(ask(clew.observe_llm(plain), "openai", stream=True))
        chunks = list(ask(clew.observe_llm(plain, stream_usage=True), "openai", stream=True))
    assert "stream_options" not in server.asked[0].body
    assert server.asked[1].body["stream_options"] == {"include_usage": True}
    assert len(without) == len(chunks)
    assert all(chunk.choices for chunk in chunks)
    first, second = record.spans
    assert first.attributes["clew.usage.source"] == "missing"
    assert "gen_ai.usage.input_tokens" not in first.attributes
    check(second, "openai")


@pytest.mark.needs("openai")
def test_the_client_looks_and_behaves_as_before() -> None:
    from openai import OpenAI

    with ModelServer([ANSWER, ANSWER]) as server, recording() as record:
        plain = client_of("openai", server)
        client = clew.observe_llm(plain)
        assert isinstance(client, OpenAI)
        assert client.api_key == "none"
        client.api_key = "other"
        assert plain.api_key == "other"
        assert dir(client) == dir(plain)
        with ask(client, "openai", stream=True) as stream:
            assert stream.response.status_code == 200
        with client.with_options(timeout=5) as other:
            ask(other, "openai")
    assert [span.attributes["gen_ai.provider.name"] for span in record.spans] == ["openai", "openai"]


@pytest.mark.needs("openai")
def test_a_client_of_openais_form_is_told_by_its_host() -> None:
    from openai import AzureOpenAI, OpenAI

    from clew.record.calls.clients import provider_of

    azure = AzureOpenAI(api_key="k", azure_endpoint="https://x.example", api_version="1")
    clients = {
        OpenAI(api_key="k", base_url="https://openrouter.ai/api/v1"): "openrouter",
        OpenAI(api_key="k"): "openai",
        azure: "azure.ai.openai",
    }
    for client, provider in clients.items():
        assert provider_of(client) == provider
        client.close()


@pytest.mark.parametrize("provider", CLIENTS)
def test_rate_limits_timeouts_and_other_errors_are_told_apart(provider: str) -> None:
    library = pytest.importorskip(provider, reason=f"needs {provider}")
    errors = (library.RateLimitError, library.APITimeoutError, library.InternalServerError)
    script: list[Any] = [Refusal(429), Hang(), Refusal(500)]
    with ModelServer(script) as server, recording() as record, client_of(provider, server, timeout=0.2) as plain:
        client = clew.observe_llm(plain, persona="coder")
        for error in errors:
            with pytest.raises(error):
                ask(client, provider)
    assert [span.attributes["error.type"] for span in record.spans] == ["rate_limit", "timeout", "InternalServerError"]
    assert {span.attributes["clew.persona"] for span in record.spans} == {"coder"}
    assert all(span.end_ns > span.start_ns for span in record.spans)


@pytest.mark.needs("anthropic")
def test_a_stream_that_breaks_off_keeps_what_was_used() -> None:
    with ModelServer([Broken(ANSWER, events=4)]) as server, recording() as record, client_of("anthropic", server) as plain:
        client = clew.observe_llm(plain)
        with pytest.raises(Exception, match=r"incomplete|closed|peer"):
            list(ask(client, "anthropic", stream=True))
    span = record.span("chat")
    assert span.status == "error"
    assert span.attributes["gen_ai.usage.input_tokens"] == 20
    assert "Hello there" in span.attributes["gen_ai.output.messages"]


@pytest.mark.needs("openai")
def test_a_client_falls_back_to_another_model() -> None:
    def script(body: dict[str, Any]) -> Any:
        return Refusal(429) if body["model"] == "m" else ANSWER

    with ModelServer(script) as server, recording() as record, client_of("openai", server) as plain:
        ask(clew.observe_llm(plain, fallback=["small"]), "openai")
    assert [asked.body["model"] for asked in server.asked] == ["m", "small"]
    assert record.spans[1].attributes["clew.fallback.from"] == "m"
    assert record.spans[1].attributes["clew.fallback.reason"] == "rate_limit"
