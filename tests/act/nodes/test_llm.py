"""An llm node asks a model over HTTP, with tools, schemas, repairs and other models to fall back on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from clew.act.workflow import calls, running, source
from clew.act.workflow.calls import ModelCall
from clew.act.workflow.check import problems
from clew.act.workflow.registry import node_types
from clew.act.workflow.running import Try
from clew.errors import ModelError
from clew.model.usage import Usage
from clew.testing import Answer, Broken, Hang, ModelServer, Refusal, recording
from clew.testing.model_server import Reply, Script

if TYPE_CHECKING:
    from tests.act.nodes.conftest import Ran, Run

SCHEMA = {
    "type": "object",
    "properties": {"count": {"type": "integer"}, "verdict": {"type": "string", "enum": ["good", "bad"]}},
    "required": ["count", "verdict"],
}
TOOLS = '''
def add(a: int, b: int) -> int:
    """Adds two numbers."""
    return a + b


async def slow_add(a: int, b: int) -> int:
    """Adds two numbers, in its own time."""
    return a + b


def broken(text: str) -> str:
    """Never works."""
    raise ValueError(f"cannot read {text}")
'''


class Asked:
    """Runs an llm node against a scripted model."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.calls: list[ModelCall] = []
        self.requests: list[dict[str, Any]] = []
        self.tree: list[str] = []

    def __call__(self, script: Script, **params: Any) -> Ran:
        with ModelServer(script) as server, recording() as record, calls.collecting() as ledger:
            done = self._run("llm", **{"model": "openai:gpt-4.1", "base_url": server.url, "prompt": "hi", **params})
        self.record, self.server = record, server
        self.calls = ledger.take()
        self.requests = [asked.body for asked in server.asked]
        self.tree = record.tree()
        return done


@pytest.fixture
def ask(run: Run, base: Path) -> Asked:
    (base / "llm_tools.py").write_text(TOOLS)
    return Asked(run)


def test_a_text_is_published_with_model_usage_and_finish_reason(ask: Asked) -> None:
    answer = Answer("Hello.", usage=Usage(input_tokens=100, output_tokens=20, cache_read_tokens=64), model="gpt-4.1-2025-04-14")
    done = ask([answer], system="Be brief.", temperature=0.0, max_tokens=50, seed=7)
    assert done.results == {
        "response": "Hello.",
        "model": "gpt-4.1-2025-04-14",
        "finish_reason": "stop",
        "llm_usage": {
            "model": "gpt-4.1-2025-04-14",
            "input_tokens": 100,
            "output_tokens": 20,
            "total_tokens": 120,
            "cache_read_input_tokens": 64,
            "reasoning_tokens": 0,
            "audio_input_tokens": 0,
            "audio_output_tokens": 0,
        },
        "requests": 1,
        "fallbacks": [],
    }
    assert ask.requests[0]["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hi"}]
    assert {key: ask.requests[0][key] for key in ("temperature", "seed")} == {"temperature": 0.0, "seed": 7}
    assert ask.tree == ["llm chat"]


def test_a_conversation_may_come_before_the_prompt_or_end_with_it(ask: Asked) -> None:
    earlier = [{"role": "system", "content": "S"}, {"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
    ask(["x"], messages=earlier, prompt="three")
    first = ask.requests[0]["messages"]
    ask(["x"], messages=[*earlier, {"role": "user", "content": "three"}], prompt=None)
    assert first == ask.requests[0]["messages"]
    assert [(message["role"], message["content"]) for message in first] == [
        ("system", "S"),
        ("user", "one"),
        ("assistant", "two"),
        ("user", "three"),
    ]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"prompt": None}, "nothing is asked: give prompt, or messages that end with one of the user"),
        ({"action_from": "x"}, "action_from needs output_schema"),
        ({"model": "gpt-4.1"}, "'gpt-4.1' names no model; write PROVIDER:MODEL, such as openai:gpt-4.1; providers are openai, anthropic, groq, ollama, replay"),
        ({"model": "opneai:x"}, "'opneai:x': no provider is called 'opneai'"),
        ({"output_schema": {"type": "objekt"}}, "output_schema is no JSON Schema: 'objekt' is not valid under any of the given schemas"),
        ({"tools": ["llm_tools:nothing"]}, "has no nothing; it has add, broken, slow_add"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_used_are_named_before_anything_is_asked(ask: Asked, params: dict[str, Any], message: str) -> None:
    assert message in ask(["never said"], **params).message
    assert ask.requests == []


@pytest.mark.parametrize("stream", [False, True])
def test_a_value_fits_its_schema(ask: Asked, stream: bool) -> None:
    done = ask(['{"count": 3, "verdict": "good"}'], output_schema=SCHEMA, stream=stream)
    assert done.results["response"] == {"count": 3, "verdict": "good"}
    assert ask.requests[0]["response_format"]["json_schema"]["schema"]["required"] == ["count", "verdict"]


def test_a_schema_need_not_be_an_objects(ask: Asked) -> None:
    done = ask(['{"value": [1, 2]}'], output_schema={"type": "array", "items": {"type": "integer"}})
    assert done.results["response"] == [1, 2]


def test_an_answer_that_does_not_fit_goes_back_with_what_is_wrong(ask: Asked) -> None:
    done = ask(['{"count": "three", "verdict": "fair"}', '{"count": 3, "verdict": "good"}'], output_schema=SCHEMA)
    assert done.results["response"] == {"count": 3, "verdict": "good"}
    told = ask.requests[1]["messages"][-1]["content"]
    assert "- count: 'three' is not of type 'integer'" in told
    assert "- verdict: 'fair' is not one of ['good', 'bad']" in told
    assert done.results["requests"] == len(ask.calls) == 2


def test_repairs_are_bounded_and_all_of_them_are_counted(ask: Asked) -> None:
    done = ask(lambda _: '{"count": "x", "verdict": "good"}', output_schema=SCHEMA, repairs=1)
    assert done.message == (
        "openai:gpt-4.1 gave no answer that fits output_schema in 2 tries: The answer does not fit the schema:\n"
        "- count: 'x' is not of type 'integer'; loosen the schema, or raise repairs"
    )
    assert len(ask.calls) == 2
    assert all(call.usage is not None for call in ask.calls)


def test_the_answer_may_choose_the_edge(ask: Asked) -> None:
    assert ask(['{"count": 3, "verdict": "bad"}'], output_schema=SCHEMA, action_from="verdict").action == "bad"
    assert (
        "the answer's count is 3, no action" in ask(['{"count": 3, "verdict": "bad"}'], output_schema=SCHEMA, action_from="count").message
    )


def test_an_empty_answer_is_no_answer(ask: Asked) -> None:
    assert ask([Answer("")]).message == "openai:gpt-4.1 answered nothing; ask in another way, or retry"
    assert len(ask.calls) == 1


@pytest.mark.parametrize("tool", ["add", "slow_add"])
def test_the_model_may_call_functions(ask: Asked, tool: str) -> None:
    done = ask([Answer(calls=((tool, {"a": 1, "b": 2}),)), "It is 3."], tools=[f"llm_tools:{tool}"])
    assert done.results["response"] == "It is 3."
    assert ask.requests[0]["tools"][0]["function"]["parameters"]["properties"] == {"a": {"type": "integer"}, "b": {"type": "integer"}}
    assert ask.requests[1]["messages"][-1]["content"] == "3"
    assert ask.tree == ["llm chat", f"tool {tool}", "llm chat"]
    span = ask.record.span(tool)
    assert span.attributes["gen_ai.tool.call.arguments"] == '{"a":1,"b":2}'
    assert span.attributes["gen_ai.tool.call.result"] == 3


def test_what_a_function_raises_is_told_to_the_model(ask: Asked) -> None:
    done = ask([Answer(calls=(("broken", {"text": "x"}),)), "It does not work."], tools=["llm_tools:broken"])
    assert done.results["response"] == "It does not work."
    assert "ValueError: cannot read x" in ask.requests[1]["messages"][-1]["content"]
    assert ask.tree == ["llm chat", "tool broken !", "llm chat"]


def test_a_model_that_never_stops_calling_is_stopped(ask: Asked) -> None:
    done = ask(lambda _: Answer(calls=(("add", {"a": 1, "b": 2}),)), tools=["llm_tools:add"], max_requests=3)
    assert done.message == "openai:gpt-4.1 came to no answer in 3 requests; raise max_requests, or ask for less"
    assert len(ask.calls) == 3


def test_usage_is_the_sum_of_all_requests(ask: Asked) -> None:
    first = Answer(calls=(("add", {"a": 1, "b": 2}),), usage=Usage(input_tokens=100, output_tokens=10, cache_read_tokens=0))
    done = ask([first, Answer("3", usage=Usage(input_tokens=120, output_tokens=5, cache_read_tokens=64))], tools=["llm_tools:add"])
    usage = done.results["llm_usage"]
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"], usage["cache_read_input_tokens"]) == (220, 15, 235, 64)


def test_usage_is_unknown_when_one_request_did_not_say(ask: Asked) -> None:
    done = ask([Answer(calls=(("add", {"a": 1, "b": 2}),), usage=False), "3"], tools=["llm_tools:add"])
    assert done.results["llm_usage"] == {"model": "gpt-4.1", "input_tokens": None, "output_tokens": None, "total_tokens": None}
    assert [call.usage is None for call in ask.calls] == [True, False]


@pytest.mark.parametrize(
    ("fault", "kind", "told"),
    [
        (Refusal(429, "slow down", retry_after=2), "rate_limit", "is rate limited (HTTP 429: slow down); it asks to wait 2 s"),
        (Refusal(500, "boom"), "error", "failed (HTTP 500: boom)"),
        (Hang(), "timeout", "did not answer within 0.3 s; raise timeout_s"),
    ],
)
def test_a_model_that_fails_fails_the_node_with_its_kind(ask: Asked, fault: Reply, kind: str, told: str) -> None:
    done = ask([fault], timeout_s=0.3 if isinstance(fault, Hang) else 30)
    assert isinstance(done.error, ModelError)
    assert done.error.kind == kind
    assert told in done.message
    assert len(ask.requests) == 1 or isinstance(fault, Hang)  # the client repeats nothing by itself


def test_the_nodes_own_time_bounds_the_request(ask: Asked) -> None:
    token = running.attempt.set(Try(0.2))
    done = ask([Hang()])
    running.attempt.reset(token)
    assert isinstance(done.error, ModelError)
    assert done.error.kind == "timeout"
    assert [call.error for call in ask.calls] == ["timeout"]  # counted before the try is given up


def test_another_model_answers_when_one_fails_and_the_change_is_recorded(ask: Asked, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelServer(["from the other"]) as other:
        monkeypatch.setenv("OPENAI_BASE_URL", other.url)
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        done = ask([Refusal(429)], fallback_models=["replay:nowhere", "openai:gpt-4.1-mini"])
    assert done.results["response"] == "from the other"
    assert [(change["from"], change["to"]) for change in done.results["fallbacks"]] == [
        ("openai:gpt-4.1", "replay:nowhere"),
        ("replay:nowhere", "openai:gpt-4.1-mini"),
    ]
    assert "is rate limited" in done.results["fallbacks"][0]["reason"]
    assert "cannot be read" in done.results["fallbacks"][1]["reason"]
    assert [(call.model, call.error) for call in ask.calls] == [("gpt-4.1", "rate_limit"), ("gpt-4.1-mini", None)]
    assert ask.tree == ["llm chat !", "decision which model answers", "decision which model answers", "llm chat"]
    assert b"".join(ask.record.lines).count(b'"llm_fallback_total"') == 1  # one line of points, with both changes in it
    first = next(span for span in ask.record.spans if span.kind == "decision")
    assert first.attributes["clew.decision.choice"] == "replay:nowhere"
    assert "is rate limited" in first.attributes["clew.decision.reason"]


def test_when_every_model_fails_the_last_failure_is_told(ask: Asked) -> None:
    done = ask([Refusal(429)], fallback_models=["openai:gpt-4.1-mini"], base_url=None, model="replay:nowhere")
    assert "openai:gpt-4.1-mini" in done.message


def test_what_came_before_a_stream_broke_off_is_recorded(ask: Asked) -> None:
    done = ask([Broken(Answer("One piece of twenty-four and what never came"), events=2)], stream=True)
    assert "broke off" in done.message
    (span,) = ask.record.spans
    assert span.status == "error"
    assert json.loads(span.attributes["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "One piece of twenty-four"}]}
    ]


def test_a_live_run_is_recorded_and_replayed_with_tools_and_schema(ask: Asked, base: Path) -> None:
    params: dict[str, Any] = {"output_schema": SCHEMA, "tools": ["llm_tools:add"]}
    script: list[Reply] = [Answer(calls=(("add", {"a": 1, "b": 2}),)), '{"count": 3, "verdict": "good"}']
    live = ask(script, record_to="exchanges.jsonl", **params)
    live_calls = ask.calls
    again = ask([], model="replay:exchanges.jsonl", base_url=None, **params)
    assert again.results["response"] == live.results["response"] == {"count": 3, "verdict": "good"}
    assert ask.requests == []
    assert ask.tree == ["llm chat", "tool add", "llm chat"]
    assert [(call.model, call.provider, call.served_from_cache, call.entry()["cost_usd"]) for call in ask.calls] == [
        ("gpt-4.1", "openai", True, 0.0),
        ("gpt-4.1", "openai", True, 0.0),
    ]
    assert [call.usage.output_tokens for call in ask.calls if call.usage] == [call.usage.output_tokens for call in live_calls if call.usage]


@pytest.mark.parametrize("name", ["gpt-4.1", "opnai:gpt-4.1", "openai:"])
def test_a_name_of_no_model_is_a_mistake_before_the_run(ask: Asked, name: str) -> None:
    document = {"name": "d", "nodes": [{"id": "a", "type": "llm", "params": {"model": name, "prompt": "?", "fallback_models": [name]}}]}
    found = problems(source.of(document, name="d"), node_types())
    assert [problem.place for problem in found] == ["nodes[0].params.model", "nodes[0].params.fallback_models[0]"]
    assert "there are openai" in found[0].message or "write PROVIDER:MODEL" in found[0].message
    assert ask([], model=name).message == f"params.model: {found[0].message}"
