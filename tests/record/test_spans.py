"""What a user records, and what comes out."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

import clew
from clew.testing import START_NS, Clock, RecordedSpan, recording


def test_a_span_whole() -> None:
    with recording() as record, clew.tool("search", arguments={"q": "x"}, call_id="c1") as span:
        span.set("hits", 3).output(["a", "b"])
    assert record.spans == [
        RecordedSpan(
            name="search",
            kind="tool",
            status="ok",
            message="",
            trace_id="0" * 31 + "2",
            span_id="0" * 15 + "1",
            parent_span_id=None,
            start_ns=START_NS + 1000,
            end_ns=START_NS + 2000,
            attributes={
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.call.arguments": '{"q":"x"}',
                "gen_ai.tool.call.id": "c1",
                "hits": 3,
                "gen_ai.tool.call.result": ["a", "b"],
                "gen_ai.tool.name": "search",
            },
        )
    ]


def test_every_kind_nests_in_every_other() -> None:
    with (
        recording() as record,
        clew.workflow("w"),
        clew.node("n"),
        clew.agent("a"),
        clew.llm("l"),
        clew.tool("t"),
        clew.decision("d"),
        clew.message("m"),
        clew.memory("me"),
        clew.retrieval("r"),
        clew.embedding("e"),
        clew.git("g"),
        clew.task("ta"),
        clew.execution("ex"),
        clew.gate("ga"),
        clew.evaluation("ev"),
        clew.span("s", kind="other"),
    ):
        pass
    kinds = ["workflow w", "node n", "agent a", "llm l", "tool t", "decision d", "message m", "memory me", "retrieval r", "embedding e"]
    kinds += ["git g", "task ta", "execution ex", "gate ga", "evaluation ev", "other s"]
    assert record.tree() == ["  " * depth + name for depth, name in enumerate(kinds)]


def test_an_unknown_kind_is_a_programmers_mistake() -> None:
    with pytest.raises(ValueError, match="no such kind of span: 'tol'"):
        clew.span("x", kind="tol")  # type: ignore[arg-type]


def test_keywords_set_the_fields_standard_attributes() -> None:
    with recording() as record:
        with clew.workflow("release", session="s1", user="u1"):
            pass
        with clew.llm("chat", model="gpt-4o", provider="openai", temperature=0.1, stream=True, operation="text_completion", own=1):
            pass
        with clew.decision("pick file", options=["a.py", {"name": "b.py", "score": 0.2}]) as decision:
            decision.choose("a.py", reason="smaller", confidence=0.9, by="planner")
    values = {span.kind: span.attributes for span in record.spans}
    assert values["workflow"] == {
        "gen_ai.operation.name": "invoke_workflow",
        "gen_ai.workflow.name": "release",
        "gen_ai.conversation.id": "s1",
        "user.id": "u1",
    }
    assert values["llm"] == {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.temperature": 0.1,
        "gen_ai.request.stream": True,
        "own": 1,
    }
    assert values["decision"] == {
        "clew.decision.question": "pick file",
        "clew.decision.options": '[{"name":"a.py"},{"name":"b.py","score":0.2}]',
        "clew.decision.choice": "a.py",
        "clew.decision.reason": "smaller",
        "clew.decision.confidence": 0.9,
        "clew.decision.by": "planner",
    }


def test_a_keyword_and_its_attribute_are_one() -> None:
    with recording() as record, clew.llm("chat", model="a") as span:
        span.set("gen_ai.request.model", "b")
        assert span.attributes == {"gen_ai.request.model": "b"}
    assert record.span("chat").attributes["gen_ai.request.model"] == "b"


def test_values_are_those_of_the_moment_they_were_set() -> None:
    messages = [{"role": "user", "content": "hi"}]
    with recording() as record, clew.llm("chat", messages=messages) as span:
        messages[0]["content"] = "changed"
        numbers = [1, 2]
        span.set("numbers", numbers)
        numbers.append(3)
    values = record.span("chat").attributes
    assert values["gen_ai.input.messages"] == '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]'
    assert values["numbers"] == [1, 2]


def test_unknown_is_not_a_value() -> None:
    with recording() as record, clew.llm("chat", model=None) as span:
        span.set("x", None)
        span.usage(input_tokens=0)
    assert record.span("chat").attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.usage.input_tokens": 0,
        "clew.usage.source": "provider",
    }


def test_a_failure_keeps_what_was_set() -> None:
    def call() -> None:
        with clew.llm("chat", model="gpt-4o") as span:
            span.usage(input_tokens=7, output_tokens=1)
            raise KeyError("nope")

    with recording() as record, pytest.raises(KeyError):
        call()
    failed = record.span("chat")
    assert (failed.status, failed.message) == ("error", "'nope'")
    assert failed.attributes["error.type"] == "KeyError"
    assert failed.attributes["gen_ai.usage.input_tokens"] == 7
    (event,) = failed.events
    assert event["name"] == "exception"
    assert event["attributes"]["exception.type"] == "KeyError"
    assert event["attributes"]["exception.message"] == "'nope'"
    assert "in call" in event["attributes"]["exception.stacktrace"]


class APITimeoutError(Exception):
    """As openai names it."""


class RateLimitError(Exception):
    status_code = 429


class HTTPError(Exception):
    def __init__(self, status: int) -> None:
        self.response = type("Response", (), {"status_code": status})()


@pytest.mark.parametrize(
    ("error", "label"),
    [
        (RateLimitError(), "rate_limit"),
        (HTTPError(429), "rate_limit"),
        (HTTPError(500), "HTTPError"),
        (HTTPError(504), "timeout"),
        (TimeoutError(), "timeout"),
        (APITimeoutError(), "timeout"),
        (ValueError(), "ValueError"),
        (asyncio.CancelledError(), "CancelledError"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (SystemExit(3), "SystemExit"),
    ],
)
def test_rate_limits_and_timeouts_are_told_from_errors(error: BaseException, label: str) -> None:
    with recording() as record, pytest.raises(type(error)), clew.tool("t"):
        raise error
    assert record.span("t").attributes["error.type"] == label
    assert record.span("t").status == "error"
    assert ("exception.stacktrace" in record.span("t").events[0]["attributes"]) == isinstance(error, Exception)


def test_a_program_that_exits_well_did_not_fail() -> None:
    with recording() as record, pytest.raises(SystemExit), clew.tool("t"):
        raise SystemExit(0)
    assert record.span("t").status == "ok"


def test_fail_takes_a_message_too() -> None:
    with recording() as record, clew.gate("review") as gate:
        gate.fail("tests are red")
    assert (record.span("review").status, record.span("review").message) == ("error", "tests are red")
    assert record.span("review").attributes["error.type"] == "_OTHER"


def test_events_and_links() -> None:
    with recording() as record:
        with clew.node("first") as first:
            pass
        with clew.node("second") as second:
            second.event("seen", {"n": 1}).link(first, {"why": "cause"}).link("00-" + "a" * 32 + "-" + "b" * 16 + "-01").link("nonsense")
    assert record.span("second").events[0]["name"] == "seen"
    assert record.span("second").events[0]["attributes"] == {"n": 1}
    assert [link["span_id"] for link in record.span("second").links] == [record.span("first").span_id, "b" * 16]


def test_what_is_set_after_the_end_is_ignored() -> None:
    with recording() as record:
        with clew.tool("t") as span:
            pass
        span.set("late", 1)
        span.fail("late")
        span.event("late")
        span.end()
    assert record.span("t").status == "ok"
    assert "late" not in record.span("t").attributes
    assert record.stats().emitted == 1


def test_a_handle_ends_where_it_likes() -> None:
    with recording() as record:
        outer = clew.task("outer").start()
        assert clew.current_span() is None
        with clew.node("unrelated"):
            outer.end()
    assert record.tree() == ["task outer", "node unrelated"]
    assert record.span("outer").status == "unset"


def test_the_current_span() -> None:
    with recording():
        assert clew.current_span() is None
        with clew.agent("a") as agent:
            assert clew.current_span() is agent
            with clew.tool("t") as tool:
                assert clew.current_span() is tool
            assert clew.current_span() is agent
        assert clew.current_span() is None


async def use_async() -> None:
    async with clew.agent("a"):
        await asyncio.sleep(0)
        async with clew.tool("t"):
            await asyncio.sleep(0)


def test_async_with() -> None:
    with recording() as record:
        asyncio.run(use_async())
    assert record.tree() == ["agent a", "  tool t"]


def test_asyncio_tasks_keep_the_parent_each() -> None:
    async def work(name: str) -> None:
        with clew.tool(name):
            await asyncio.sleep(0)
            with clew.node(f"in {name}"):
                await asyncio.sleep(0)

    async def main() -> None:
        with clew.agent("a"):
            await asyncio.gather(work("x"), work("y"), asyncio.to_thread(lambda: clew.tool("thread").start().end()))

    with recording() as record:
        asyncio.run(main())
    assert sorted(record.tree()) == sorted(["agent a", "  tool x", "    node in x", "  tool y", "    node in y", "  tool thread"])


@dataclasses.dataclass
class Refuser:
    """Lets so many tools start."""

    left: int
    ended: list[str] = dataclasses.field(default_factory=list)

    def on_start(self, span: clew.Span) -> None:
        if span.kind == "tool":
            if self.left <= 0:
                raise clew.Refused(f"no budget for {span.attributes['gen_ai.tool.name']}")
            self.left -= 1

    def on_end(self, span: clew.Span) -> None:
        self.ended.append(span.name)


def test_a_processor_may_refuse_a_span_and_the_refusal_is_recorded() -> None:
    refuser = Refuser(left=1)
    ran: list[str] = []

    @clew.tool
    def search() -> None:
        ran.append("search")

    with recording(processors=[refuser]) as record, clew.agent("a") as agent:
        search()
        with pytest.raises(clew.Refused, match="no budget for search"):
            search()
        assert clew.current_span() is agent
    assert ran == ["search"]
    assert record.tree() == ["agent a", "  tool search", "  tool search !"]
    assert [span.attributes.get("error.type") for span in record.spans] == [None, None, "refused"]
    assert refuser.ended == ["search", "search", "a"]


class Broken:
    def on_start(self, span: clew.Span) -> None:
        raise ValueError("a bug")

    def on_end(self, span: clew.Span) -> None:
        raise ValueError("a bug")


def test_a_broken_processor_changes_nothing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    from clew.record import guard

    with recording(processors=[Broken()]) as record:
        monkeypatch.setattr(guard, "raising", False)
        with clew.tool("t"):
            pass
    assert record.tree() == ["tool t"]
    assert "Broken.on_start failed" in caplog.text


def test_off_is_one_object_that_does_nothing_and_inserts_no_wrapper() -> None:
    from clew.record import state
    from clew.record.noop import NOOP

    def function() -> int:
        return 1

    state.use(None)
    try:
        with clew.llm("chat", model="x") as span:
            span.set("a", 1).usage(input_tokens=1).fail("x").output(1).event("e")
        assert span is NOOP  # type: ignore[comparison-overlap]
        assert clew.tool(function) is function
        assert clew.tool("named", x=1)(function) is function
        assert clew.span("x", kind="agent")(function) is function

        async def both() -> None:
            async with clew.agent("a"):
                pass

        asyncio.run(both())
        assert clew.flush()
        assert clew.stats().emitted == 0
    finally:
        state.forget()


def test_every_method_of_a_span_exists_when_off() -> None:
    from clew.record.instruments.decision import DecisionSpan
    from clew.record.instruments.llm import LlmSpan
    from clew.record.noop import NOOP

    public = {name for kind in (LlmSpan, DecisionSpan) for name in dir(kind) if not name.startswith("_")}
    inner = set(clew.Span.__slots__) | {"start_unix_nano", "end_unix_nano", "otlp_kind"}
    assert not {name for name in public - inner if not hasattr(NOOP, name)}


def test_using_a_span_twice_is_a_mistake_that_tests_show() -> None:
    with recording():
        span: Any = clew.tool("t")
        with span:
            pass
        with pytest.raises(RuntimeError, match="started once"):
            span.__enter__()


def test_what_a_processor_waits_for_is_not_the_time_of_the_span() -> None:
    clock = Clock()

    class Slow(clew.Processor):
        def on_start(self, span: clew.Span) -> None:
            clock.advance(5)

        def on_end(self, span: clew.Span) -> None:
            return None

    with recording(processors=[Slow()], clock=clock) as record, clew.llm("chat"):
        pass
    assert [span.end_ns - span.start_ns for span in record.spans] == [1000]
