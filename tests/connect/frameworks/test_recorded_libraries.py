"""What clew.instrument makes of real libraries: they ask a server that speaks the provider's protocol, and their spans nest in ours."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.model.usage import Usage
from clew.record import labels
from clew.testing import Answer, ModelServer, RecordedSpan, Recording, Refusal, recording

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning")

ANSWER = Answer("Hello there", usage=Usage(input_tokens=20, output_tokens=5, cache_read_tokens=8))
MESSAGES: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer(lambda body: Refusal(429) if "fail" in str(body) else ANSWER) as server:
        yield server


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Iterator[Recording]:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # else litellm fetches its price list when it is imported
    with recording() as record, labels.within(persona="coder"):
        yield record
    clew.uninstrument()
    with warnings.catch_warnings():  # some of these libraries leave their connections to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def needs(*modules: str) -> None:
    for module in modules:
        pytest.importorskip(module, reason=f"needs {module}")


def calls(record: Recording) -> list[RecordedSpan]:
    """The model calls: spans that name a model and its tokens."""
    return [span for span in record.spans if "llm.token_count.prompt" in span.attributes or "gen_ai.usage.input_tokens" in span.attributes]


def tokens(span: RecordedSpan) -> tuple[Any, Any]:
    found = span.attributes
    return (
        found.get("gen_ai.usage.input_tokens", found.get("llm.token_count.prompt")),
        found.get("gen_ai.usage.output_tokens", found.get("llm.token_count.completion")),
    )


def parents(record: Recording, span: RecordedSpan) -> list[str]:
    by_id = {other.span_id: other for other in record.spans}
    names = []
    above = by_id.get(span.parent_span_id or "")
    while above is not None:
        names.append(above.name)
        above = by_id.get(above.parent_span_id or "")
    return names


def test_openai(record: Recording, server: ModelServer) -> None:
    needs("openai", "openinference.instrumentation.openai")
    from openai import OpenAI, RateLimitError

    clew.instrument("openai")
    with clew.agent("ours"), OpenAI(base_url=server.url, api_key="none", max_retries=0) as client:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "fail"}])
    (call,) = calls(record)
    assert (tokens(call), parents(record, call)) == ((20, 5), ["ours"])
    assert call.attributes["clew.persona"] == "coder"
    assert call.attributes["openinference.span.kind"] == "LLM"
    assert [span.status for span in record.spans] == ["ok", "ok", "error"]


def test_anthropic(record: Recording, server: ModelServer) -> None:
    needs("anthropic", "openinference.instrumentation.anthropic")
    from anthropic import Anthropic

    clew.instrument("anthropic")
    with clew.agent("ours"), Anthropic(base_url=server.anthropic_url, api_key="none") as client:
        client.messages.create(model="claude", max_tokens=10, messages=MESSAGES)
    (call,) = calls(record)
    assert parents(record, call) == ["ours"]
    assert tokens(call) == (20, 5)


def test_litellm_over_openai_makes_two_spans_of_one_call(record: Recording, server: ModelServer) -> None:
    needs("litellm", "openai", "openinference.instrumentation.litellm", "openinference.instrumentation.openai")
    import litellm

    clew.instrument("litellm", "openai")
    with clew.agent("ours"):
        litellm.completion("openai/gpt-4o", messages=MESSAGES, api_base=server.url, api_key="none")
    outer, inner = calls(record)
    assert parents(record, inner) == [outer.name, "ours"]
    assert tokens(outer) == tokens(inner) == (20, 5)
    assert outer.attributes["openinference.span.kind"] == inner.attributes["openinference.span.kind"] == "LLM"


def test_langgraph(record: Recording, server: ModelServer) -> None:
    needs("langgraph", "openai", "openinference.instrumentation.langchain", "openinference.instrumentation.openai")
    from langgraph.graph import END, START, StateGraph
    from openai import OpenAI

    clew.instrument("langgraph", "openai")

    def answer(state: dict[str, Any]) -> dict[str, Any]:
        with clew.tool("ours inside"), OpenAI(base_url=server.url, api_key="none") as client:
            said = client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
        return {"text": said.choices[0].message.content}

    graph: Any = StateGraph(dict)
    graph.add_node("answer", answer)
    graph.add_edge(START, "answer")
    graph.add_edge("answer", END)
    with clew.workflow("ours"):
        assert graph.compile().invoke({})["text"] == "Hello there"
    (call,) = calls(record)
    assert parents(record, call) == ["ours inside", "answer", "LangGraph", "ours"]


def test_pydantic_ai(record: Recording, server: ModelServer) -> None:
    needs("pydantic_ai", "openai", "opentelemetry.trace")
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    clew.instrument("pydantic_ai")
    agent = Agent(OpenAIChatModel("gpt-4o", provider=OpenAIProvider(base_url=server.url, api_key="none")), name="theirs")

    async def main() -> None:
        with clew.workflow("ours"):
            assert (await agent.run("Hi")).output == "Hello there"

    asyncio.run(main())
    call = next(span for span in calls(record) if span.name.startswith("chat"))
    assert tokens(call) == (20, 5)
    assert parents(record, call)[-1] == "ours"
    assert len(parents(record, call)) == 2


@pytest.mark.needs("chdb", "clickhouse_connect", "litellm", "openinference.instrumentation.litellm", "openinference.instrumentation.openai")
def test_calls_that_several_layers_record_are_counted_and_priced_once(record: Recording, server: ModelServer, tmp_path: Path) -> None:
    import litellm

    clew.instrument("litellm", "openai")
    ask = clew.observe_llm(litellm.completion)
    with clew.agent("ours"):
        for _ in range(3):
            ask("openai/gpt-4o", messages=MESSAGES, api_base=server.url, api_key="none")
    assert len(calls(record)) == 9  # ours, LiteLLM's and the client's
    lines = tmp_path / "spans.jsonl"
    lines.write_bytes(b"".join(line for line in record.lines if line.startswith(b'{"resourceSpans')))
    environment = {**os.environ, "CLEW_DATA_DIR": str(tmp_path / "data"), "CLEW_OWNER_LINGER_S": "30"}

    def run(*words: str) -> str:
        done = subprocess.run([sys.executable, "-m", "clew.cli.main", *words], env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("import", str(lines))
    total = json.loads(run("cost", "--json"))["total"]
    assert (total["calls"], total["input_tokens"], total["output_tokens"]) == (3, 60, 15)


class TestLlm:
    """Simon Willison's library, whose answers are lazy."""

    @pytest.fixture(autouse=True)
    def started(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, record: Recording) -> None:
        needs("llm", "openai")
        monkeypatch.setenv("LLM_USER_PATH", str(tmp_path))
        clew.instrument("llm")

    def model(self, server: ModelServer, *, asynchronous: bool = False) -> Any:
        from llm.default_plugins.openai_models import AsyncChat, Chat

        return (AsyncChat if asynchronous else Chat)("gpt-4o", key="none", api_base=server.url, supports_tools=True)

    def check(self, record: Recording) -> None:
        span = record.span("chat")
        assert tokens(span) == (20, 5)
        found = span.attributes
        assert found["gen_ai.usage.cache_read.input_tokens"] == 8
        assert (found["gen_ai.request.model"], found["gen_ai.response.model"]) == ("gpt-4o", "gpt-4o")
        assert (found["gen_ai.provider.name"], found["clew.persona"]) == ("openai", "coder")
        assert '"content":"Hi"' in found["gen_ai.input.messages"]
        assert '"content":"Be kind"' in found["gen_ai.system_instructions"]
        assert '"content":"Hello there"' in found["gen_ai.output.messages"]
        assert span.status == "ok"

    @pytest.mark.parametrize("stream", [True, False])
    def test_the_call_is_recorded_when_the_answer_is_read_and_once(self, record: Recording, server: ModelServer, stream: bool) -> None:
        with clew.agent("asks"):
            response = self.model(server).prompt("Hi", system="Be kind", stream=stream)
        assert [span.name for span in record.spans] == ["asks"]  # nothing has been asked yet
        record.clock.advance(60)
        with clew.agent("reads"):
            assert response.text() == "Hello there"
        assert (response.text(), response.usage().input) == ("Hello there", 20)
        self.check(record)
        span = record.span("chat")
        assert parents(record, span) == ["reads"]
        assert (span.end_ns - span.start_ns) / 1e9 < 1  # the minute between prompt() and text() is not the model's
        assert len(server.asked) == 1

    @pytest.mark.parametrize("stream", [True, False])
    def test_an_async_answer(self, record: Recording, server: ModelServer, stream: bool) -> None:
        async def main() -> None:
            response = self.model(server, asynchronous=True).prompt("Hi", system="Be kind", stream=stream)
            assert await response.text() == "Hello there"
            assert (await response.usage()).output == 5

        asyncio.run(main())
        self.check(record)

    def test_a_call_that_fails(self, record: Recording, server: ModelServer) -> None:
        with pytest.raises(Exception, match="429"):
            self.model(server).prompt("fail").text()
        span = record.span("chat")
        assert (span.status, span.attributes["error.type"], span.attributes["clew.persona"]) == ("error", "rate_limit", "coder")

    def test_a_plugin_that_tells_no_tokens_leaves_them_missing(self, record: Recording) -> None:
        import llm

        class Echo(llm.Model):
            model_id = "echo"

            def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Iterator[str]:
                yield from ("He", "llo")

        assert list(Echo().prompt("Hi")) == ["He", "llo"]
        span = record.span("chat")
        assert span.attributes["clew.usage.source"] == "missing"
        assert tokens(span) == (None, None)
        assert "gen_ai.provider.name" not in span.attributes


class TestPocketFlow:
    @pytest.fixture(autouse=True)
    def started(self, record: Recording) -> None:
        needs("pocketflow")
        clew.instrument("pocketflow")

    def test_flows_and_nodes(self, record: Recording) -> None:
        import pocketflow

        class Load(pocketflow.Node):  # type: ignore[misc]
            def exec(self, prep_res: Any) -> None:
                with clew.tool("read"):
                    pass

        class Decide(pocketflow.Node):  # type: ignore[misc]
            def exec(self, prep_res: Any) -> str:
                if self.cur_retry == 0:
                    raise ValueError("once more")
                return "yes"

            def post(self, shared: Any, prep_res: Any, exec_res: str) -> str:
                return exec_res

        class Inner(pocketflow.Flow): ...  # type: ignore[misc]

        load, decide, last = Load(), Decide(max_retries=2), Load()
        decide - "yes" >> last
        load >> Inner(start=decide)
        pocketflow.Flow(start=load).run({})
        assert record.tree() == [
            "workflow Flow",
            "  node Load",
            "    tool read",
            "  node Inner",
            "    node Decide",
            "    node Load",
            "      tool read",
        ]
        found = record.span("Decide").attributes
        assert (found["clew.node.action"], found["clew.retry.attempt"], found["clew.node.type"]) == ("yes", 2, "Decide")

    def test_async_flows_and_failures(self, record: Recording) -> None:
        import pocketflow

        class Fails(pocketflow.AsyncNode):  # type: ignore[misc]
            async def exec_async(self, prep_res: Any) -> None:
                await asyncio.sleep(0)
                raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            asyncio.run(pocketflow.AsyncFlow(start=Fails()).run_async({}))
        assert record.tree() == ["workflow AsyncFlow !", "  node Fails !"]
