"""LangfuseIntegration against a server that speaks Langfuse's protocol, through its package and without it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import clew
from clew.connect.langfuse import LangfuseIntegration, get_langfuse_integration
from clew.errors import LangfuseError
from clew.model.usage import Usage
from clew.record import labels
from clew.testing import Recording, recording

from .conftest import Langfuse

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
ANSWER = {
    "id": "c1",
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello"}}],
    "usage": {
        "prompt_tokens": 20,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 8},
        "completion_tokens_details": {"reasoning_tokens": 2},
        "cost": 0.25,
    },
}


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as record:
        yield record


@pytest.fixture(params=["otlp", "package"])
def langfuse(request: pytest.FixtureRequest, server: Langfuse, record: Recording) -> LangfuseIntegration:
    if request.param == "package":
        pytest.importorskip("langfuse", reason="needs langfuse")
    made = LangfuseIntegration(*server.keys, server.url, through=request.param)
    assert made.through == request.param
    return made


@pytest.fixture
def plain(server: Langfuse, record: Recording) -> LangfuseIntegration:
    return LangfuseIntegration(*server.keys, server.url, through="otlp")


def test_a_trace_with_persona_chatmode_tags_and_all_that_is_recorded_inside(langfuse: LangfuseIntegration, server: Langfuse) -> None:
    with langfuse.start_trace("release", "backend-engineer", "package-release", {"ticket": "T1"}, tags=["nightly"]) as trace:
        with langfuse.start_span(trace, "build", {"step": 1}), clew.tool("compile", arguments={"fast": True}):
            pass
        with labels.within(stage="build"), clew.llm("ask", model="gpt-4o", provider="openai", messages="Hi", temperature=0.2) as call:
            call.first_chunk()
            call.response(ANSWER)
    assert langfuse.flush()
    by_name = {span["name"]: span for span in server.spans}
    assert set(by_name) == {"release", "build", "compile", "ask"}
    assert {span["traceId"] for span in server.spans} == {trace.trace_id}
    parents = {
        name: next((other for other in by_name if by_name[other]["spanId"] == span["parentSpanId"]), None) for name, span in by_name.items()
    }
    assert parents == {"release": None, "build": "release", "compile": "build", "ask": "release"}
    for span in server.spans:
        found = span["attributes"]
        assert (found["user.id"], found["session.id"], found["langfuse.trace.name"]) == ("backend-engineer", "package-release", "release")
        assert found["langfuse.trace.metadata.ticket"] == "T1"
        assert "nightly" in found["langfuse.trace.tags"]
    types = {name: span["attributes"]["langfuse.observation.type"] for name, span in by_name.items()}
    assert types == {"release": "chain", "build": "chain", "compile": "tool", "ask": "generation"}
    assert json.loads(by_name["compile"]["attributes"]["langfuse.observation.input"]) == {"fast": True}
    found = by_name["ask"]["attributes"]
    assert found["langfuse.observation.model.name"] == "gpt-4o-2024-08-06"
    assert json.loads(found["langfuse.observation.usage_details"]) == {
        "input": 12,
        "input_cached_tokens": 8,
        "output": 3,
        "output_reasoning_tokens": 2,
        "total": 25,
    }
    assert json.loads(found["langfuse.observation.cost_details"]) == {"total": 0.25}
    assert json.loads(found["langfuse.observation.model.parameters"]) == {"temperature": 0.2}
    assert found["langfuse.trace.tags"] == ["nightly", "build"]
    assert json.loads(found["langfuse.observation.completion_start_time"]).startswith("2023-11-14T22:13:20")
    assert '"content":"Hello"' in found["langfuse.observation.output"]


def test_a_call_that_fails_is_a_generation_too(langfuse: LangfuseIntegration, server: Langfuse) -> None:
    class RateLimitError(Exception): ...

    trace = langfuse.start_trace("t", "coder", "bug-fix")

    def fails() -> None:
        with langfuse.create_generation(trace, "ask", "gpt-4o", "Hi") as generation:
            generation.usage({"input": 7, "output": 0})
            raise RateLimitError("slow down")

    with pytest.raises(RateLimitError):
        fails()
    langfuse.end_trace(trace, "error")
    langfuse.flush()
    found = server.span("ask")["attributes"]
    assert found["langfuse.observation.type"] == "generation"
    assert (found["langfuse.observation.level"], found["langfuse.observation.status_message"]) == ("ERROR", "rate_limit: slow down")
    assert json.loads(found["langfuse.observation.usage_details"])["input"] == 7
    assert (found["user.id"], found["session.id"]) == ("coder", "bug-fix")
    assert server.span("t")["status"]["code"] == 2


def test_a_generation_that_has_taken_place(langfuse: LangfuseIntegration, server: Langfuse, record: Recording) -> None:
    trace = langfuse.start_trace("t")
    langfuse.create_generation(trace, "text", "gpt-4o", "Hi", "Hello", {"input": 20, "output": 5}, {"note": "x"})
    langfuse.create_generation(trace, "response", "gpt-4o", "Hi", ANSWER)
    langfuse.create_generation(trace, "unknown", "gpt-4o", "Hi", "Hello")
    langfuse.end_trace(trace)
    langfuse.flush()
    assert json.loads(server.span("text")["attributes"]["langfuse.observation.usage_details"]) == {"input": 20, "output": 5, "total": 25}
    assert json.loads(server.span("response")["attributes"]["langfuse.observation.cost_details"]) == {"total": 0.25}
    assert "langfuse.observation.usage_details" not in server.span("unknown")["attributes"]  # not 0, and not guessed from the text's length
    assert record.tree() == ["workflow t", "  llm text", "  llm response", "  llm unknown"]


def test_traces_are_counted_once_each_when_they_are_taken(langfuse: LangfuseIntegration, server: Langfuse, record: Recording) -> None:
    for name in ("a", "b"):
        with langfuse.start_trace(name):
            langfuse.flush()
            with clew.tool("x"):
                pass
    langfuse.flush()
    points = [
        point
        for line in record.lines
        for resource in json.loads(line).get("resourceMetrics", ())
        for scoped in resource["scopeMetrics"]
        for metric in scoped["metrics"]
        if metric["name"] == "langfuse_trace_created_total"
        for point in metric["sum"]["dataPoints"]
    ]
    assert sum(float(point.get("asDouble", point.get("asInt", 0))) for point in points) == 2
    assert len(server.spans) == 4


def test_the_observable_llm_sends_every_call_and_its_labels_are_those_of_its_context(
    langfuse: LangfuseIntegration, server: Langfuse
) -> None:
    llm = clew.ObservableLLM(lambda prompt: ANSWER, "gpt-4o", langfuse, name="ask")
    trace = langfuse.start_trace("t", "coder", "bug-fix")
    llm("Hi")
    langfuse.end_trace(trace)
    llm("Hi", persona="tester", chatmode="release")
    other = langfuse.start_trace("other", "ops")
    langfuse.end_trace(other)
    llm("late", trace=trace)
    langfuse.flush()
    found = [span for span in server.spans if span["name"] == "ask"]
    assert [(span["attributes"].get("user.id"), span["attributes"].get("session.id")) for span in found[:2]] == [
        ("coder", "bug-fix"),
        ("tester", "release"),
    ]
    assert found[0]["traceId"] == trace.trace_id


def test_end_user_and_session_of_the_record_where_personas_are_not_users(server: Langfuse, record: Recording) -> None:
    langfuse = LangfuseIntegration(*server.keys, server.url, through="otlp", persona_as_user=False)
    with langfuse.start_trace("t", "coder", "bug-fix", user="u1", session="s1"):
        pass
    langfuse.flush()
    found = server.span("t")["attributes"]
    assert (found["user.id"], found["session.id"]) == ("u1", "s1")


def test_an_answer_from_a_local_cache_costs_nothing_there_too(plain: LangfuseIntegration, server: Langfuse) -> None:
    with clew.llm("ask", model="gpt-4o", cache_hit=True, usage=Usage(input_tokens=3, output_tokens=1)):
        pass
    plain.flush()
    assert json.loads(server.span("ask")["attributes"]["langfuse.observation.cost_details"]) == {"total": 0.0}


def test_spans_of_other_dialects_keep_their_attributes_and_are_typed(plain: LangfuseIntegration, server: Langfuse) -> None:
    pytest.importorskip("opentelemetry.trace", reason="needs opentelemetry-api")
    attributes = {"openinference.span.kind": "LLM", "llm.model_name": "m", "llm.token_count.prompt": 7, "llm.token_count.completion": 2}
    clew.tracer_provider().get_tracer("lib").start_span("theirs", attributes=attributes).end()
    plain.flush()
    found = server.span("theirs")["attributes"]
    assert found.items() >= attributes.items()
    assert (found["langfuse.observation.type"], found["langfuse.observation.model.name"]) == ("generation", "m")


def test_secrets_do_not_leave_the_process(plain: LangfuseIntegration, server: Langfuse) -> None:
    with clew.tool("x", arguments={"api_key": "sk-live-1234567890abcdefghijkl"}):
        pass
    plain.flush()
    assert "sk-live-1234567890abcdefghijkl" not in json.dumps(server.spans)


def test_a_langfuse_that_is_busy_is_asked_again(plain: LangfuseIntegration, server: Langfuse, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    assert plain._rest is not None
    monkeypatch.setattr(plain._rest, "_sleep", waited.append)
    server.refusals = [429, 503]
    plain.create_prompt("p", "Hi")
    assert waited == [7.0, 2.0]  # what it asks by Retry-After, else doubled
    server.refusals = [500] * 6
    with pytest.raises(LangfuseError, match=r"v2/prompts answered 500: not now"):
        plain.create_prompt("p", "Hi")


def test_wrong_keys_and_a_wrong_address_are_told(server: Langfuse, record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = LangfuseIntegration("pk-wrong", "sk", server.url, through="otlp")
    with pytest.raises(LangfuseError, match="refused the keys; check LANGFUSE_PUBLIC_KEY"):
        wrong.get_prompt("p")
    away = LangfuseIntegration("pk", "sk", "http://127.0.0.1:1", through="otlp")
    assert away._rest is not None
    monkeypatch.setattr(away._rest, "_sleep", lambda seconds: None)
    with pytest.raises(LangfuseError, match=r"cannot be reached .*check LANGFUSE_HOST"):
        away.get_prompt("p")
    with pytest.raises(LangfuseError, match="is not an http or https address"):
        LangfuseIntegration("pk", "sk", "ftp://x", through="otlp")


def test_without_keys_everything_works_nothing_is_sent_and_it_is_said_once(record: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "clew"):
        langfuse = get_langfuse_integration()
        assert get_langfuse_integration() is langfuse
        with langfuse.start_trace("t", "coder", "bug-fix") as trace, langfuse.create_generation(trace, "ask", "gpt-4o", "Hi") as generation:
            generation.completion("Hello").score("quality", 1)
    assert (langfuse.enabled, langfuse.through) == (False, None)
    assert langfuse.flush()
    assert [line.getMessage() for line in caplog.records] == [
        "clew: Langfuse is off: set LANGFUSE_PUBLIC_KEY and LANGFUSE_SECRET_KEY to send traces there; they are recorded here as ever"
    ]
    assert record.tree() == ["workflow t", "  llm ask", "    evaluation quality"]
    assert langfuse.get_prompt("p", fallback="Hi {{name}}").compile(name="you") == "Hi you"
    with pytest.raises(LangfuseError, match="set LANGFUSE_PUBLIC_KEY"):
        langfuse.get_prompt("p")
    with pytest.raises(LangfuseError, match="creating a dataset needs the keys"):
        langfuse.create_dataset("d")


def test_keys_and_address_come_from_the_environment(server: Langfuse, record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in zip(("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_HOST"), (*server.keys, server.url), strict=True):
        monkeypatch.setenv(name, value)
    assert get_langfuse_integration().get_prompt("p", fallback="x").version is None
    assert server.asked == ["GET v2/prompts/p"]


def test_what_was_sent_before_stays_and_nothing_follows_after_detach(plain: LangfuseIntegration, server: Langfuse) -> None:
    for way in (plain.detach, plain.attach, plain.attach):
        way()
    with clew.tool("once"):
        pass
    plain.flush()
    plain.detach()
    with clew.tool("never"):
        pass
    plain.flush()
    assert [span["name"] for span in server.spans] == ["once"]


def test_the_observe_decorator(plain: LangfuseIntegration, server: Langfuse) -> None:
    @plain.observe
    def step() -> str:
        return ask("Hi")["model"]  # type: ignore[no-any-return]

    @plain.observe(as_type="generation", model="gpt-4o", persona="coder")
    def ask(prompt: str) -> Any:
        return ANSWER

    @plain.observe(name="later")
    async def later() -> None: ...

    assert step() == "gpt-4o-2024-08-06"
    asyncio.run(later())
    plain.flush()
    assert server.span("ask")["parentSpanId"] == server.span("step")["spanId"]
    assert server.span("ask")["attributes"]["user.id"] == "coder"
    assert server.span("later")["attributes"]["langfuse.observation.type"] == "chain"


@pytest.mark.parametrize(("value", "kind", "sent"), [(0.8, "NUMERIC", 0.8), (True, "BOOLEAN", 1), ("good", "CATEGORICAL", "good")])
def test_scores_of_an_observation_and_of_a_trace(
    plain: LangfuseIntegration, server: Langfuse, record: Recording, value: Any, kind: str, sent: Any
) -> None:
    with plain.start_trace("t") as trace:
        with plain.start_span(trace, "s") as span:
            score_id = span.score("quality", value, "because")
        trace.score_trace("whole", value)
    plain.flush()
    one, whole = server.scores
    assert one == {
        "id": score_id,
        "traceId": trace.trace_id,
        "observationId": span.observation_id,
        "name": "quality",
        "value": sent,
        "dataType": kind,
        "comment": "because",
    }
    assert "observationId" not in whole
    assert span.score("quality", value) == score_id  # the same judgement: it replaces the first
    assert plain.flush()
    found = record.span("whole")
    assert found.kind == "evaluation"
    assert found.attributes["gen_ai.evaluation.name"] == "whole"
    assert [span["name"] for span in server.spans] == ["s", "t"]  # the score itself is there, not a span of it besides


def test_prompts_by_label_and_version_and_their_version_on_the_span(plain: LangfuseIntegration, server: Langfuse) -> None:
    plain.create_prompt("team/greet", "Hello {{ name }}, {{missing}}", labels=["production"], config={"model": "gpt-4o"})
    chat = [{"role": "system", "content": "Be {{tone}}"}, {"type": "placeholder", "name": "history"}]
    second = plain.create_prompt("team/greet", chat, labels=["staging"])
    prompt = plain.get_prompt("team/greet")
    assert (prompt.version, prompt.labels, prompt.config, prompt.variables) == (
        1,
        ("production",),
        {"model": "gpt-4o"},
        ("name", "missing"),
    )
    assert prompt.compile(name="you") == "Hello you, {{missing}}"
    assert plain.get_prompt("team/greet", "staging") == plain.get_prompt("team/greet", version=2) == second
    assert second.compile(tone="kind", history=[{"role": "user", "content": "Hi"}]) == [
        {"role": "system", "content": "Be kind"},
        {"role": "user", "content": "Hi"},
    ]
    trace = plain.start_trace("t")
    plain.create_generation(trace, "ask", "gpt-4o", prompt.compile(name="you"), ANSWER, managed=prompt)
    plain.end_trace(trace)
    clew.ObservableLLM(lambda prompt: ANSWER, "gpt-4o", name="wrapped")("Hi", metadata=prompt.attributes)
    plain.flush()
    for name in ("ask", "wrapped"):
        found = server.span(name)["attributes"]
        assert (found["langfuse.observation.prompt.name"], found["langfuse.observation.prompt.version"]) == ("team/greet", 1)
        assert found["gen_ai.prompt.version"] == "1"


def test_a_prompt_is_kept_for_a_minute_and_longer_when_langfuse_is_away(
    plain: LangfuseIntegration, server: Langfuse, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now = [0.0]
    monkeypatch.setattr(plain, "_now", lambda: now[0])
    assert plain._rest is not None
    monkeypatch.setattr(plain._rest, "_sleep", lambda seconds: None)
    plain.create_prompt("p", "one", labels=["production"])
    asked: Callable[[], int] = lambda: sum(1 for path in server.asked if path == "GET v2/prompts/p")  # noqa: E731
    assert [plain.get_prompt("p").content for _ in range(3)] == ["one"] * 3
    assert asked() == 1
    plain.create_prompt("p", "two", labels=["production"])
    now[0] = 61.0
    assert plain.get_prompt("p").content == "two"
    now[0], server.refusals = 200.0, [503] * 6
    assert plain.get_prompt("p").content == "two"
    fallback = plain.get_prompt("none", fallback="instead")
    assert (fallback.content, fallback.version, fallback.attributes) == ("instead", None, {})
    assert "the fallback of prompt none is used" in caplog.text
    with pytest.raises(LangfuseError, match="answered 404: Prompt not found: none"):
        plain.get_prompt("none")


def test_an_ab_comparison_gives_the_same_key_the_same_label_and_spreads_keys(plain: LangfuseIntegration) -> None:
    plain.create_prompt("p", "one", labels=["a"])
    plain.create_prompt("p", "two", labels=["b"])
    versions = [plain.choose_prompt("p", ["a", "b"], key=f"session {number}").version for number in range(200)]
    assert versions == [plain.choose_prompt("p", ["a", "b"], key=f"session {number}").version for number in range(200)]
    assert 70 < versions.count(1) < 130
    assert plain.choose_prompt("p", ["a", "b"]).version in (1, 2)


@pytest.mark.parametrize("version", [3, 4])
def test_a_dataset_and_a_run_over_it(plain: LangfuseIntegration, server: Langfuse, version: int) -> None:
    server.version = version
    items = [{"input": {"q": number}, "expected_output": number * 2} for number in range(3)]
    assert plain.create_dataset("doubles", "twice", items) == 3
    plain.create_dataset("doubles", "twice", items)
    assert len(server.items) == 3

    async def double(given: dict[str, int]) -> int:
        with clew.tool("multiply"):
            if given["q"] == 2:
                raise ValueError("too big")
        return given["q"] * 2

    def exact(output: int, expected_output: int) -> bool:
        return output == expected_output

    def judged(**given: Any) -> dict[str, Any]:
        return {"name": "size", "value": float(given["output"]), "comment": "as it is"}

    async def within_a_loop() -> Any:
        return run()

    def run() -> Any:
        return plain.run_dataset("doubles", double, run_name="first", evaluators=[exact, judged], persona="coder", chatmode="bug-fix")

    found = asyncio.run(within_a_loop()) if version == 3 else run()
    assert [(result.output, type(result.error)) for result in found.results] == [(0, type(None)), (2, type(None)), (None, ValueError)]
    assert found.averages == {"exact": 1.0, "size": 1.0}
    roots = [span for span in server.spans if span["name"] == "first"]
    assert [span["attributes"]["langfuse.experiment.item.id"] for span in roots] == list(server.items)
    assert {span["attributes"]["langfuse.experiment.name"] for span in server.spans} == {"first"}
    assert len({span["attributes"]["langfuse.experiment.id"] for span in server.spans}) == 1
    for span in roots:
        assert span["attributes"]["langfuse.experiment.item.root_observation_id"] == span["spanId"]
        assert (span["attributes"]["user.id"], span["attributes"]["session.id"]) == ("coder", "bug-fix")
    assert [(score["name"], score["value"]) for score in server.scores] == [("exact", 1), ("size", 0.0), ("exact", 1), ("size", 2.0)]
    assert roots[2]["attributes"]["langfuse.observation.level"] == "ERROR"
    reported = [item["traceId"] for item in server.run_items]
    assert reported == ([result.trace_id for result in found.results] if version == 3 else [])
    assert server.asked.count("POST dataset-run-items") == (3 if version == 3 else 1)


def test_a_dataset_that_is_not_there_is_told(plain: LangfuseIntegration) -> None:
    with pytest.raises(LangfuseError, match="v2/datasets/none answered 404: Dataset not found"):
        plain.run_dataset("none", lambda given: given, run_name="r")


def test_a_langfuse_that_is_away_holds_up_neither_the_program_nor_its_end(plain: LangfuseIntegration, server: Langfuse) -> None:
    server.refusals = [503] * 100
    with plain.start_trace("t") as trace:
        trace.score("quality", 1)
    assert not plain.flush(0.05)


def test_what_a_process_sends_reaches_langfuse_before_it_ends(server: Langfuse, tmp_path: Any) -> None:
    import os
    import subprocess
    import sys

    code = (
        "import clew\nfrom clew.connect.langfuse import get_langfuse_integration\nget_langfuse_integration()\n"
        "import os\nwith clew.tool('parent'):\n    pass\n"
        "if os.fork() == 0:\n    with clew.tool('child'):\n        pass\n    os._exit(0)\nos.wait()\n"
    )
    keys = dict(zip(("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_HOST"), (*server.keys, server.url), strict=True))
    environment = {**os.environ, **keys, "CLEW_DATA_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert sorted(span["name"] for span in server.spans) == ["child", "parent"]
