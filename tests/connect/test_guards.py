"""A budget refuses the calls of clients whose instrumentations swallow what comes out of the start of a span."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import clew
from clew.testing import Answer, ModelServer, recording

pytestmark = pytest.mark.needs("opentelemetry.trace", "openinference.instrumentation.openai")

MESSAGES: Any = [{"role": "user", "content": "hello"}]


def openai(url: str) -> Callable[[], Any]:
    from openai import OpenAI

    client = OpenAI(base_url=url, api_key="none", max_retries=0)
    return lambda: client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, max_tokens=20)


def openai_async(url: str) -> Callable[[], Any]:
    from openai import AsyncOpenAI

    async def ask() -> Any:
        async with AsyncOpenAI(base_url=url, api_key="none", max_retries=0) as client:
            return await client.chat.completions.create(model="gpt-4.1-mini", messages=MESSAGES, max_tokens=20)

    return lambda: asyncio.run(ask())


def anthropic(url: str) -> Callable[[], Any]:
    from anthropic import Anthropic

    client = Anthropic(base_url=url.removesuffix("/v1"), api_key="none", max_retries=0)
    return lambda: client.messages.create(model="claude-sonnet-4", messages=MESSAGES, max_tokens=20)


@pytest.fixture
def instrumented(request: pytest.FixtureRequest) -> Iterator[str]:
    library: str = request.param
    clew.instrument(library)
    yield library
    clew.uninstrument(library)


@pytest.mark.parametrize(
    ("instrumented", "client"),
    [
        pytest.param("openai", openai, marks=pytest.mark.needs("openai")),
        pytest.param("openai", openai_async, marks=pytest.mark.needs("openai")),
        pytest.param("anthropic", anthropic, marks=pytest.mark.needs("anthropic", "openinference.instrumentation.anthropic")),
    ],
    indirect=["instrumented"],
)
def test_a_recorded_clients_call_without_room_is_never_sent(instrumented: str, client: Callable[[str], Callable[[], Any]]) -> None:
    with ModelServer(lambda _: Answer("hi")) as server, recording() as record:
        ask = client(server.url)
        with clew.budget(calls=2, tokens=10_000) as budget:
            ask()
            ask()
            with pytest.raises(clew.BudgetExceeded):
                ask()
            spent = budget.state().spent
        assert len(server.asked) == 2
        ask()  # nothing of the refusal stays
        assert len(server.asked) == 3
    assert (spent["calls"], spent["tokens"] > 0) == (2.0, True)
    assert [span.status for span in record.spans if span.kind != "other" or "gpt" in str(span.attributes)].count("error") <= 1


def test_a_call_that_tells_what_it_is_after_its_start_is_refused_where_it_is_guarded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As LiteLLM's instrumentor does."""
    from clew.connect.frameworks import guards

    class Library:
        sent = 0

        def complete(self) -> str:
            Library.sent += 1
            return "hi"

    monkeypatch.setitem(guards.GUARDED, "theirs", (f"{__name__}:_library.complete",))
    monkeypatch.setitem(globals(), "_library", Library)
    with recording() as record:
        guards.guard("theirs", "their.tracer")
        tracer = clew.tracer_provider().get_tracer("their.tracer")

        def traced() -> str:
            with tracer.start_as_current_span("completion") as span:
                span.set_attribute("llm.model_name", "m")
                return Library().complete()

        with clew.budget(calls=1) as budget:
            assert traced() == "hi"
            with pytest.raises(clew.BudgetExceeded):
                traced()
            assert budget.state().spent == {"calls": 1.0}
        assert Library.sent == 1
        refused = record.spans[-1]
        assert (refused.attributes["clew.budget.measure"], refused.attributes["gen_ai.usage.input_tokens"]) == ("calls", 0)
