"""A workflow of several personas is one run; its stages nest, take sync and async functions, and keep what was recorded when they fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

import clew
from clew import PersonaMetricsCollector, WorkflowTracer, trace_workflow
from clew.testing import recording

BACKEND, TESTING = "backend-engineer", "testing-specialist"


def test_stages_of_sync_and_async_functions_give_back_what_these_do() -> None:
    def add(one: int, *, other: int) -> int:
        with clew.tool("adder"):
            return one + other

    async def later(value: str) -> str:
        await asyncio.sleep(0)
        with clew.tool("waiter"):
            return value

    async def work() -> tuple[int, str, int]:
        async with WorkflowTracer("my_workflow", {"ticket": 7}) as tracer:
            found = await tracer.trace_stage("sync", BACKEND, add, 1, other=2)
            text = await tracer.trace_stage("async", TESTING, later, "done")
            return found, text, await tracer.trace_stage("lambda", TESTING, lambda: asyncio.sleep(0, 5))

    with recording() as record:
        assert asyncio.run(work()) == (3, "done", 5)
    assert record.tree() == [
        "workflow my_workflow",
        "  node sync",
        "    tool adder",
        "    gate nothing raised",
        "  node async",
        "    tool waiter",
        "    gate nothing raised",
        "  node lambda",
        "    gate nothing raised",
    ]
    assert record.span("my_workflow").attributes["workflow.ticket"] == 7
    stage = record.span("sync").attributes
    assert (stage["clew.stage"], stage["clew.persona"], stage["gen_ai.workflow.name"]) == ("sync", BACKEND, "my_workflow")


def test_a_stage_context_is_the_current_span_sync_and_async_and_stages_nest() -> None:
    async def work() -> None:
        async with WorkflowTracer("w") as tracer, tracer.stage_context("outer", BACKEND, {"area": "api"}) as span:
            here: Any = clew.current_span()
            assert here is span
            span.set("note", "mine")
            with tracer.stage_context("inner", TESTING), clew.tool("deep"):
                pass

    with recording() as record:
        asyncio.run(work())
        with trace_workflow("plain") as tracer, tracer.stage_context("only", BACKEND):
            pass
    assert record.tree() == [
        "workflow w",
        "  node outer",
        "    node inner",
        "      tool deep",
        "      gate nothing raised",
        "    gate nothing raised",
        "workflow plain",
        "  node only",
        "    gate nothing raised",
    ]
    assert (record.span("outer").attributes["stage.area"], record.span("outer").attributes["note"]) == ("api", "mine")


def test_a_failure_ends_stage_and_run_and_keeps_what_was_recorded() -> None:
    async def breaks() -> None:
        with clew.llm("chat", model="gpt-4") as call:
            call.usage(input_tokens=300, output_tokens=50)
        raise RuntimeError("no disk")

    async def work() -> None:
        async with WorkflowTracer("w") as tracer:
            tracer.collector.switch_persona(None, BACKEND, "x")
            await tracer.trace_stage("good", BACKEND, lambda: None)
            await tracer.trace_stage("bad", BACKEND, breaks)

    with recording() as record:
        with pytest.raises(RuntimeError, match="no disk"):
            asyncio.run(work())
        assert clew.get_persona_metrics().get_remaining_budget(BACKEND) == 1650
    assert record.tree() == [
        "workflow w !",
        f"  agent {BACKEND}",
        "  node good",
        "    gate nothing raised",
        "  node bad !",
        "    llm chat",
        "    gate nothing raised",
    ]
    assert [span.attributes.get("clew.gate.result") for span in record.spans if span.kind == "gate"] == ["passed", "failed"]
    assert [event["name"] for event in record.span("bad").events] == ["exception"]
    assert record.span("chat").attributes["gen_ai.usage.input_tokens"] == 300


def test_the_last_session_ends_with_its_run_and_an_older_one_does_not() -> None:
    with recording() as record:
        collector = PersonaMetricsCollector()
        with WorkflowTracer("first", collector=collector):
            collector.switch_persona(None, BACKEND, "x")
        assert collector.persona is None
        collector.switch_persona(None, TESTING, "y")
        with WorkflowTracer("second", collector=collector):
            pass
        assert collector.persona == TESTING
        collector.close()
    run = record.span("first")
    session = record.span(BACKEND)
    assert run.start_ns < session.start_ns < session.end_ns <= run.end_ns
    assert session.parent_span_id == run.span_id


def test_stages_that_run_at_once_keep_their_own_children() -> None:
    async def stage(tracer: WorkflowTracer, name: str, started: asyncio.Event, wait: asyncio.Event) -> None:
        async with tracer.stage_context(name, BACKEND):
            started.set()
            await wait.wait()
            with clew.tool(f"tool of {name}"):
                pass

    async def work() -> None:
        one, two = asyncio.Event(), asyncio.Event()
        async with WorkflowTracer("w") as tracer:
            await asyncio.gather(stage(tracer, "a", one, two), stage(tracer, "b", two, one))

    with recording() as record:
        asyncio.run(work())
    parents = {span.name: span.parent_span_id for span in record.spans}
    assert parents["tool of a"] == record.span("a").span_id
    assert parents["tool of b"] == record.span("b").span_id


def test_metadata_of_any_sort_does_no_harm() -> None:
    given: dict[str, Any] = {"list": [1, {"a": 2}], "none": None, "object": object()}
    with recording() as record, WorkflowTracer("w", given) as tracer, tracer.stage_context("s", BACKEND, given):
        pass
    assert record.span("w").attributes["workflow.list"] == '[1,{"a":2}]'


def test_a_stage_that_is_refused_leaves_nothing_behind() -> None:
    class Refuses:
        def on_start(self, span: clew.Span) -> None:
            if span.kind == "node":
                raise clew.Refused("no more stages")

        def on_end(self, span: clew.Span) -> None: ...

    with recording(processors=[Refuses()]) as record, WorkflowTracer("w") as tracer:
        with pytest.raises(clew.Refused), tracer.stage_context("s", BACKEND):
            raise AssertionError("it must not run")
        with clew.llm("after", model="gpt-4"):
            pass
    assert "clew.stage" not in record.span("after").attributes


def test_a_stage_may_be_left_in_another_context_than_it_was_entered() -> None:
    async def stages() -> AsyncIterator[int]:
        with WorkflowTracer("w") as tracer, tracer.stage_context("s", BACKEND):
            yield 1
            yield 2

    async def work() -> None:
        found = stages()
        await asyncio.create_task(anext_of(found))
        await asyncio.create_task(close(found))

    async def anext_of(found: AsyncIterator[int]) -> int:
        return await anext(found)

    async def close(found: Any) -> None:
        await found.aclose()

    with recording() as record:
        asyncio.run(work())
    assert record.tree() == ["workflow w", "  node s", "    gate nothing raised"]
