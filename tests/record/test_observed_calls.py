"""observe_llm and ObservableLLM: a call through any function or client is a span with all that is known of it, however it ends."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any, ClassVar

import pytest

import clew
from clew.record import labels, state
from clew.testing import RecordedSpan, Recording, recording

ANSWER = {
    "id": "chatcmpl-1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 5, "total_tokens": 25, "prompt_tokens_details": {"cached_tokens": 8}, "cost": 0.25},
}
TEXT = [{"role": "assistant", "parts": [{"type": "text", "content": "Hello"}], "finish_reason": "stop"}]


class RateLimitError(Exception):
    status_code = 429


class Slow(TimeoutError): ...


def asked(prompt: Any, system: str | None = None, model: str = "gpt-4o", temperature: float | None = None, **more: Any) -> Any:
    return ANSWER


def chunks(prompt: str) -> Iterator[dict[str, Any]]:
    yield {"id": "c1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hel"}}]}
    with clew.tool("between"):
        yield {"id": "c1", "model": "gpt-4o", "choices": [{"index": 0, "delta": {"content": "lo"}, "finish_reason": "stop"}]}
    yield {"id": "c1", "model": "gpt-4o", "choices": [], "usage": ANSWER["usage"]}


def check_whole(span: RecordedSpan) -> None:
    found = span.attributes
    assert (span.kind, span.status) == ("llm", "ok")
    assert (found["gen_ai.usage.input_tokens"], found["gen_ai.usage.output_tokens"]) == (20, 5)
    assert found["gen_ai.usage.cache_read.input_tokens"] == 8
    assert (found["clew.cost.usd"], found["clew.usage.source"]) == (0.25, "provider")
    assert found["clew.response.tokens_per_second"] > 0


def test_a_function_that_gives_a_response() -> None:
    ask = clew.observe_llm(asked, provider="openai")
    with recording() as record, labels.within(persona="coder", chatmode="bug-fix", workflow="release", stage="build"), clew.agent("a"):
        assert ask("Hi", system="Be kind", temperature=0.2) is ANSWER
    span = record.span("asked")
    check_whole(span)
    assert record.tree() == ["agent a", "  llm asked"]
    found = span.attributes
    assert found["gen_ai.request.temperature"] == 0.2
    assert found["gen_ai.provider.name"] == "openai"
    assert (found["gen_ai.response.model"], found["gen_ai.response.id"]) == ("gpt-4o-2024-08-06", "chatcmpl-1")
    assert found["gen_ai.input.messages"] == '[{"role":"user","parts":[{"type":"text","content":"Hi"}]}]'
    assert found["gen_ai.system_instructions"] == '[{"type":"text","content":"Be kind"}]'
    assert '"content":"Hello"' in found["gen_ai.output.messages"]
    assert [found[key] for key in ("clew.persona", "clew.chatmode", "gen_ai.workflow.name", "clew.stage")] == [
        "coder",
        "bug-fix",
        "release",
        "build",
    ]


def test_a_coroutine_function_a_bare_decorator_and_a_text() -> None:
    @clew.observe_llm
    async def ask(question: str) -> str:
        with clew.tool("inside"):
            await asyncio.sleep(0)
        return "Hello"

    with recording() as record:
        assert asyncio.run(ask("Hi")) == "Hello"
    assert record.tree() == ["llm ask", "  tool inside"]
    found = record.span("ask").attributes
    assert '"content":"Hello"' in found["gen_ai.output.messages"]
    assert found["clew.usage.source"] == "missing"  # a text says nothing of its tokens: unknown, not 0 and not guessed
    assert "gen_ai.usage.input_tokens" not in found


def test_a_function_that_hands_on_a_coroutine() -> None:
    async def answer() -> Any:
        return ANSWER

    ask: Any = clew.observe_llm(lambda prompt: answer(), name="chat")
    with recording() as record:
        assert asyncio.run(_awaited(ask("Hi"))) is ANSWER
    check_whole(record.span("chat"))


async def _awaited(value: Any) -> Any:
    return await value


def test_a_generator_is_one_call_and_gives_the_same_pieces() -> None:
    with recording() as record:
        ask: Any = clew.observe_llm(chunks, model="gpt-4o")
        stream = ask("Hi")
        record.clock.advance(1.5)
        first = next(stream)
        assert clew.current_span() is None  # the consumer is not inside the call
        assert [first, *stream] == list(chunks("Hi"))
    span = record.span("chunks")
    check_whole(span)
    assert record.tree()[:2] == ["llm chunks", "  tool between"]
    assert span.attributes["gen_ai.response.time_to_first_chunk"] == pytest.approx(1.5, abs=0.01)
    assert span.attributes["gen_ai.request.stream"] is True
    assert '"content":"Hello"' in span.attributes["gen_ai.output.messages"]


def test_an_async_generator() -> None:
    @clew.observe_llm
    async def ask(prompt: str) -> AsyncIterator[str]:
        for piece in ("Hel", "lo"):
            with clew.tool(piece):
                yield piece

    async def main() -> None:
        assert [piece async for piece in ask("Hi")] == ["Hel", "lo"]

    with recording() as record:
        asyncio.run(main())
    assert record.tree() == ["llm ask", "  tool Hel", "  tool lo"]
    assert '"content":"Hello"' in record.span("ask").attributes["gen_ai.output.messages"]


def test_a_stream_that_is_left_early_keeps_what_came() -> None:
    with recording() as record:
        for _ in clew.observe_llm(chunks)("Hi"):
            break
    span = record.span("chunks")
    assert span.status == "ok"
    assert [event["name"] for event in span.events] == ["stream left before its end"]
    assert '"content":"Hel"' in span.attributes["gen_ai.output.messages"]
    assert span.attributes["clew.usage.source"] == "missing"


def test_a_stream_that_breaks_off_keeps_text_and_usage() -> None:
    def breaking(prompt: str) -> Iterator[Any]:
        yield from chunks(prompt)
        raise ConnectionError("gone")

    with recording() as record, pytest.raises(ConnectionError):
        list(clew.observe_llm(breaking)("Hi"))
    span = record.span("breaking")
    assert (span.status, span.attributes["error.type"]) == ("error", "ConnectionError")
    assert span.attributes["gen_ai.usage.input_tokens"] == 20
    assert '"content":"Hello"' in span.attributes["gen_ai.output.messages"]


class Cut(Exception):
    """As OpenAI's LengthFinishReasonError: the answer was paid for."""

    def __init__(self) -> None:
        super().__init__("too long")
        self.completion = ANSWER


@pytest.mark.parametrize(
    ("error", "kind"),
    [(RateLimitError("slow down"), "rate_limit"), (Slow("late"), "timeout"), (ValueError("no"), "ValueError"), (Cut(), "Cut")],
)
def test_a_call_that_fails_keeps_its_class_label_and_usage(error: Exception, kind: str) -> None:
    @clew.observe_llm(model="gpt-4o", persona="coder")
    def ask(prompt: str) -> str:
        raise error

    with recording() as record, pytest.raises(type(error)):
        ask("Hi")
    span = record.span("ask")
    assert (span.status, span.attributes["error.type"], span.attributes["clew.persona"]) == ("error", kind, "coder")
    assert span.end_ns > span.start_ns
    # A request that the provider refused used nothing; what a call used that ended otherwise, nobody knows unless it was paid for and says so.
    assert span.attributes.get("gen_ai.usage.input_tokens") == {"Cut": 20, "rate_limit": 0}.get(kind)


def test_an_answer_from_a_local_cache_costs_nothing_and_says_so() -> None:
    class Cached(dict[str, Any]):
        _hidden_params: ClassVar = {"cache_hit": True}  # as LiteLLM's

    with recording() as record:
        clew.observe_llm(lambda prompt: Cached(ANSWER), name="library")("Hi")
        clew.observe_llm(lambda prompt: "Hello", name="own", cached=lambda text: text == "Hello")("Hi")
    assert [span.attributes["clew.cache.hit"] for span in record.spans] == [True, True]
    assert "clew.usage.source" not in record.span("own").attributes


class Waits:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds: list[float] = []
        monkeypatch.setattr(time, "sleep", self.seconds.append)


def test_retries_are_spans_of_their_own_that_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits(monkeypatch)
    errors: list[Exception] = [RateLimitError("a"), Slow("b")]
    asking = RateLimitError("a")
    asking.response = type("Response", (), {"headers": {"retry-after": "7"}, "status_code": 429})()  # type: ignore[attr-defined]
    errors[0] = asking

    @clew.observe_llm(model="gpt-4o", retries=3)
    def ask(prompt: str) -> Any:
        if errors:
            raise errors.pop(0)
        return ANSWER

    with recording() as record:
        assert ask("Hi") is ANSWER
    first, second, third = record.spans
    assert [span.attributes.get("error.type") for span in record.spans] == ["rate_limit", "timeout", None]
    assert [span.attributes.get("clew.retry.attempt") for span in record.spans] == [None, 2, 3]
    assert [span.attributes.get("clew.retry.reason") for span in record.spans] == [None, "rate_limit", "timeout"]
    assert waits.seconds == [7.0, 2.0]  # what the provider asks, else doubled
    assert (second.links[0]["span_id"], third.links[0]["span_id"]) == (first.span_id, second.span_id)


def test_only_what_may_pass_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = Waits(monkeypatch)

    @clew.observe_llm(retries=5)
    def ask(prompt: str) -> str:
        raise ValueError("wrong")

    with recording() as record, pytest.raises(ValueError, match="wrong"):
        ask("Hi")
    assert (len(record.spans), waits.seconds) == (1, [])


def test_another_model_stands_in_and_the_record_says_from_to_and_why() -> None:
    given = []

    @clew.observe_llm(model="big", fallback=["middle", "small"])
    def ask(prompt: str, model: str = "big") -> Any:
        given.append(model)
        if model != "small":
            raise RateLimitError(model)
        return {**ANSWER, "model": "small-1"}

    with recording() as record, clew.node("n"):
        ask("Hi")
    assert given == ["big", "middle", "small"]
    first, second, third = [span for span in record.spans if span.kind == "llm"]
    assert [span.attributes["gen_ai.request.model"] for span in (first, second, third)] == ["big", "middle", "small"]
    assert first.events[0]["name"] == "clew.fallback"
    assert first.events[0]["attributes"] == {"clew.from": "big", "clew.to": "middle", "clew.reason": "rate_limit"}
    assert (third.attributes["clew.fallback.from"], third.attributes["clew.fallback.reason"]) == ("middle", "rate_limit")
    assert third.links == [
        {
            "trace_id": second.trace_id,
            "span_id": second.span_id,
            "attributes": {"clew.link": "fallback", "clew.from": "middle", "clew.reason": "rate_limit"},
        }
    ]
    assert [event["name"] for event in third.events] == []
    assert fallbacks(record) == {("big", "middle", "rate_limit"): 1, ("middle", "small", "rate_limit"): 1}


def fallbacks(record: Recording) -> dict[tuple[str, ...], float]:
    """What ``llm_fallback_total`` was given."""
    found: dict[tuple[str, ...], float] = {}
    for line in record.lines:
        for resource in json.loads(line).get("resourceMetrics", ()):
            for metric in resource["scopeMetrics"][0]["metrics"]:
                if metric["name"] == "llm_fallback_total":
                    for point in metric["sum"]["dataPoints"]:
                        labels = {pair["key"]: pair["value"]["stringValue"] for pair in point["attributes"]}
                        key = tuple(labels[name] for name in ("from_model", "to_model", "reason"))
                        found[key] = found.get(key, 0) + float(point.get("asDouble", point.get("asInt", 0)))
    return found


@pytest.mark.parametrize("way", ["call", "stream", "async"])
def test_a_budget_refuses_before_the_call_and_books_what_was_used(way: str) -> None:
    called = []

    def ask(prompt: str, max_tokens: int = 5) -> Any:
        called.append(prompt)
        return ANSWER

    def stream(prompt: str, max_tokens: int = 5) -> Iterator[Any]:
        called.append(prompt)
        yield from chunks(prompt)

    async def later(prompt: str, max_tokens: int = 5) -> Any:
        called.append(prompt)
        return ANSWER

    ways: dict[str, Any] = {"call": (ask, lambda found: found), "stream": (stream, list), "async": (later, asyncio.run)}
    function, read = ways[way]
    llm = clew.ObservableLLM(function, "gpt-4o", fallback=[lambda prompt: "instead"], retries=2)
    with recording() as record, clew.budget("small", tokens=40, calls=10) as budget:
        read(llm("Hi"))
        assert budget.state().spent["tokens"] == 25
        with pytest.raises(clew.BudgetExceeded):
            read(llm("Hi, this is too much for what is left"))
    assert called == ["Hi"]
    assert [span.attributes.get("error.type") for span in record.spans if span.kind == "llm"] == [None, "budget_exceeded"]


def test_a_persona_is_booked_once_whoever_says_so_and_under_its_own_labels() -> None:
    answer = {**ANSWER, "usage": {"prompt_tokens": 800, "completion_tokens": 50}}
    with recording() as record:
        collector = clew.PersonaMetricsCollector()
        llm = clew.ObservableLLM(lambda prompt: answer, "gpt-4o", metrics=collector, name="ask")
        collector.switch_persona(None, "backend-engineer", "package-release")
        llm("Hi")
        collector.record_token_usage("backend-engineer", "package-release", "gpt-4o", 850)  # the caller says it too
        assert collector.get_remaining_budget("backend-engineer") == 1150

        async def main() -> None:
            async with clew.WorkflowTracer("release") as tracer:
                await tracer.trace_stage("build", "testing-specialist", llm, "Hi")

        asyncio.run(main())
        assert collector.get_remaining_budget("testing-specialist") == 1500 - 850
        collector.close()
    first, second = [span.attributes for span in record.spans if span.kind == "llm"]
    assert (first["clew.persona"], first["clew.chatmode"]) == ("backend-engineer", "package-release")
    assert (second["clew.persona"], second["clew.stage"], second["gen_ai.workflow.name"]) == ("testing-specialist", "build", "release")


def test_another_function_stands_in_and_the_last_error_is_the_callers() -> None:
    async def big(prompt: str) -> str:
        raise Slow("late")

    def other(prompt: str) -> str:
        return f"other: {prompt}"

    def broken(prompt: str) -> str:
        raise ValueError("no")

    with recording() as record:
        assert asyncio.run(clew.ObservableLLM(big, "big", fallback=[broken, other])("Hi")) == "other: Hi"
        with pytest.raises(ValueError, match="no"):
            asyncio.run(clew.ObservableLLM(big, "big", fallback=[broken])("Hi"))
    assert [span.status for span in record.spans] == ["error", "error", "ok", "error", "error"]
    assert record.spans[2].attributes["clew.fallback.from"] == "broken"


def test_a_name_to_fall_back_on_needs_a_function_that_takes_it() -> None:
    with pytest.raises(TypeError, match="'small' is a model's name, and ask takes no model="):

        @clew.observe_llm(fallback=["small"])
        def ask(prompt: str) -> str:
            return prompt


class Spent:
    """A budget that is spent."""

    def on_start(self, span: clew.Span) -> None:
        if span.kind == "llm":
            assert span.attributes["gen_ai.request.model"] == "gpt-4o"  # known before the call
            assert "gen_ai.input.messages" in span.attributes
            raise clew.Refused("spent")

    def on_end(self, span: clew.Span) -> None: ...


@pytest.mark.parametrize("way", ["sync", "async", "stream", "fallback"])
def test_a_refusal_comes_before_the_call_and_no_other_model_is_asked(way: str) -> None:
    called = []

    def ask(prompt: str, model: str = "gpt-4o") -> Any:
        called.append(prompt)
        return ANSWER

    async def later(prompt: str) -> Any:
        called.append(prompt)

    def stream(prompt: str) -> Iterator[str]:
        called.append(prompt)
        yield "x"

    llm = {"sync": ask, "async": later, "stream": stream, "fallback": ask}[way]
    observed = clew.ObservableLLM(llm, "gpt-4o", fallback=["small"] if way == "fallback" else [], retries=2)
    run = asyncio.run if way == "async" else lambda answer: answer
    with recording(processors=[Spent()]) as record, pytest.raises(clew.Refused):
        run(observed("Hi"))
    assert called == []
    assert [(span.kind, span.attributes["error.type"]) for span in record.spans] == [("llm", "refused")]


class Collector:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, str, int]] = []

    def record_token_usage(self, persona: str, chatmode: str, model: str, tokens: int, **more: Any) -> None:
        assert more["call"].attributes["gen_ai.usage.input_tokens"] == 20
        self.told.append((persona, chatmode, model, tokens))


def test_a_collector_is_told_the_tokens_of_each_call_under_the_labels_of_its_context() -> None:
    collector = Collector()
    llm = clew.ObservableLLM(asked, "gpt-4o", metrics=collector, default_persona="unknown", default_chatmode="default")
    with recording():
        llm("Hi")
        llm("Hi", persona="coder", chatmode="bug-fix")
        with labels.within(persona="tester", chatmode="release"):
            llm("Hi")
    model = "gpt-4o-2024-08-06"
    assert collector.told == [("unknown", "default", model, 25), ("coder", "bug-fix", model, 25), ("tester", "release", model, 25)]


def test_a_destination_is_attached_when_the_wrapper_is_made() -> None:
    class Destination:
        attached = 0

        def attach(self) -> None:
            self.attached += 1

    destination = Destination()
    clew.ObservableLLM(asked, "m", destination)
    assert destination.attached == 1


def test_wrap_sync_and_wrap_async_record_further_functions() -> None:
    llm = clew.ObservableLLM(model="gpt-4o", persona="coder")
    with recording() as record:
        assert llm.wrap_sync(asked)("Hi") is ANSWER
        assert asyncio.run(llm.wrap_async(asked)("Hi")) is ANSWER
        with pytest.raises(TypeError, match="has no function"):
            llm("Hi")
    assert [span.attributes["clew.persona"] for span in record.spans] == ["coder", "coder"]


def test_generate_gives_the_answer_with_its_figures() -> None:
    llm = clew.ObservableLLM(asked, "gpt-4o", provider="openai")
    with recording() as record:
        found = llm.generate("Hi", "Be kind", metadata={"ticket": "T1"})
    assert (found["response"], found["tokens_used"], found["cost_usd"]) == ("Hello", 25, 0.25)
    assert found["latency_ms"] >= 0
    assert record.span("asked").attributes["ticket"] == "T1"
    assert record.span("asked").attributes["gen_ai.request.temperature"] == 0.7

    async def text(prompt: str) -> str:
        return "Hello"

    with recording():
        unknown = asyncio.run(clew.ObservableLLM(text, "no-such-model").generate("Hi"))
    assert (unknown["response"], unknown["tokens_used"], unknown["cost_usd"]) == ("Hello", None, None)


@pytest.mark.needs("genai_prices")
def test_generate_computes_what_the_provider_did_not_report() -> None:
    answer = {**ANSWER, "usage": {"prompt_tokens": 1000, "completion_tokens": 500}}
    with recording():
        known = clew.ObservableLLM(lambda prompt: answer, "gpt-4o", provider="openai").generate("Hi")
        told = clew.ObservableLLM(lambda prompt: answer, "gpt-4o", cost_per_1k_tokens=0.03).generate("Hi")
    assert known["cost_usd"] == pytest.approx(1000 * 2.5e-6 + 500 * 10e-6)
    assert told["cost_usd"] == pytest.approx(0.045)


@pytest.fixture
def off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("CLEW_DISABLED", "1")
    yield
    state.forget()


def test_nothing_is_wrapped_while_recording_is_off(off: None) -> None:
    assert clew.observe_llm(asked) is asked
    errors = [RateLimitError("x")]

    @clew.observe_llm(fallback=["small"])
    def ask(prompt: str, model: str = "big") -> str:
        if errors:
            raise errors.pop()
        return model

    assert ask("Hi") == "small"  # what it does besides recording it still does


def test_what_is_no_function_and_no_client_is_refused() -> None:
    with pytest.raises(TypeError, match="int is neither a function nor a client"):
        clew.observe_llm(7)
