"""One decorator for functions, coroutines, generators and async generators; a generator's consumer never sees its span."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import inspect
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import clew
from clew.testing import recording


def test_a_function_bare_named_and_with_attributes() -> None:
    @clew.tool
    def search(query: str, *more: str, limit: int = 3, **rest: Any) -> dict[str, Any]:
        "Find it."
        return {"found": [query]}

    @clew.node("step", phase="plan")
    def plan() -> str:
        return str(search("x", "y", limit=1, z=2)["found"][0])

    with recording() as record:
        assert plan() == "x"
    assert record.tree() == ["node step", "  tool search"]
    assert record.span("step").attributes == {"phase": "plan"}
    values = record.span("search").attributes
    assert values["gen_ai.tool.name"] == "search"
    assert values["gen_ai.tool.call.arguments"] == '{"query":"x","more":["y"],"limit":1,"z":2}'
    assert values["gen_ai.tool.call.result"] == '{"found":["x"]}'
    assert search.__doc__ == "Find it."
    assert list(inspect.signature(search).parameters) == ["query", "more", "limit", "rest"]


def test_a_method_records_no_self() -> None:
    class Tools:
        @clew.tool
        def search(self, query: str) -> str:
            return query

    with recording() as record:
        Tools().search("x")
    assert record.span("search").attributes["gen_ai.tool.call.arguments"] == '{"query":"x"}'


def test_calls_do_not_share_what_they_set() -> None:
    @clew.agent("a", tag="t")
    def agent(n: int) -> None:
        span = clew.current_span()
        assert span is not None
        span.set(f"n{n}", n)

    with recording() as record:
        agent(1)
        agent(2)
    assert [span.attributes.keys() & {"n1", "n2", "tag"} for span in record.spans] == [{"n1", "tag"}, {"n2", "tag"}]


def test_a_coroutine() -> None:
    @clew.tool
    async def fetch(url: str) -> str:
        await asyncio.sleep(0)
        return url.upper()

    with recording() as record:
        assert asyncio.run(fetch("x")) == "X"
    assert inspect.iscoroutinefunction(fetch)
    assert record.span("fetch").attributes["gen_ai.tool.call.result"] == "X"


@clew.node
def count(to: int) -> Iterator[int]:
    for n in range(to):
        with clew.tool(f"t{n}"):
            yield n
    return "done"  # type: ignore[return-value]


def test_a_generators_body_sees_its_span_and_its_consumer_does_not() -> None:
    with recording() as record, clew.workflow("w") as workflow:
        for _ in count(2):
            assert clew.current_span() is workflow
            with clew.node("consumer"):
                pass
        assert clew.current_span() is workflow
    assert record.tree() == ["workflow w", "  node count", "    tool t0", "    tool t1", "  node consumer", "  node consumer"]


def test_a_generator_keeps_its_protocol() -> None:
    @clew.node
    def echo() -> Any:
        got = yield "first"
        try:
            got = yield got
        except KeyError:
            got = yield "caught"
        return got

    with recording() as record:
        body = echo()
        assert inspect.isgeneratorfunction(echo)
        assert [next(body), body.send("sent"), body.throw(KeyError())] == ["first", "sent", "caught"]
        with pytest.raises(StopIteration) as stop:
            body.send("result")
    assert stop.value.value == "result"
    assert record.span("echo").status == "ok"


def test_a_generator_left_early_ends_its_span_when_closed() -> None:
    with recording() as record:
        body = count(5)
        next(body)
        assert record.spans == []
        body.close()  # type: ignore[attr-defined]
        assert clew.current_span() is None
    assert [(span.name, span.status) for span in record.spans] == [("count", "unset"), ("t0", "unset")]


def test_a_generator_dropped_in_another_context_ends_its_span() -> None:
    with recording() as record:
        body = count(5)
        contextvars.copy_context().run(next, body)
        del body
        gc.collect()
        assert clew.current_span() is None
    assert [span.name for span in record.spans] == ["count", "t0"]


def test_a_generator_moved_between_contexts_keeps_its_tree() -> None:
    with recording() as record:
        body = count(2)
        for _ in range(2):
            contextvars.copy_context().run(next, body)
        assert next(body, None) is None
    assert record.tree() == ["node count", "  tool t0", "  tool t1"]


def test_a_generator_that_fails() -> None:
    @clew.node
    def broken() -> Iterator[int]:
        yield 1
        raise ValueError("no")

    with recording() as record, pytest.raises(ValueError, match="no"):
        list(broken())
    assert record.span("broken").status == "error"


@clew.agent("streamer")
async def stream(to: int) -> AsyncIterator[int]:
    for n in range(to):
        async with clew.tool(f"t{n}"):
            await asyncio.sleep(0)
            yield n


def run(main: Any) -> list[str]:
    with recording() as record:
        asyncio.run(main())
    return record.tree()


def test_an_async_generators_consumer_does_not_see_its_span() -> None:
    async def main() -> None:
        with clew.workflow("w") as workflow:
            async for _ in stream(2):
                assert clew.current_span() is workflow

    assert run(main) == ["workflow w", "  agent streamer", "    tool t0", "    tool t1"]


def test_an_async_generator_left_early_by_break_and_aclose() -> None:
    async def main() -> None:
        with clew.workflow("w") as workflow:
            body = stream(5)
            async for _ in body:
                break
            await body.aclose()  # type: ignore[attr-defined]
            assert clew.current_span() is workflow
            with clew.node("after"):
                pass

    assert run(main) == ["workflow w", "  agent streamer", "    tool t0", "  node after"]


def test_an_async_generator_abandoned_is_ended_by_the_loop() -> None:
    async def main() -> None:
        with clew.workflow("w"):
            async for _ in stream(5):
                break

    with recording() as record:
        asyncio.run(main())
    assert sorted(span.name for span in record.spans) == ["streamer", "t0", "w"]


def test_an_async_generator_that_hops_between_tasks() -> None:
    async def main() -> None:
        with clew.workflow("w"):
            body = stream(3)
            for _ in range(3):
                await asyncio.create_task(body.__anext__())  # type: ignore[arg-type]
            await asyncio.create_task(body.aclose())  # type: ignore[attr-defined]

    assert run(main) == ["workflow w", "  agent streamer", "    tool t0", "    tool t1", "    tool t2"]


def test_interleaved_async_generators_do_not_mix() -> None:
    async def main() -> None:
        with clew.workflow("w"):
            one, two = stream(2), stream(2)
            for body in (one, two, two, one):
                await body.__anext__()
            await one.aclose()  # type: ignore[attr-defined]
            await two.aclose()  # type: ignore[attr-defined]

    assert run(main) == ["workflow w", *["  agent streamer", "    tool t0", "    tool t1"] * 2]


def test_a_cancelled_async_generator_says_so() -> None:
    async def main() -> None:
        async def consume() -> None:
            async for _ in stream(1_000_000):
                pass

        task = asyncio.create_task(consume())
        for _ in range(5):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert run(main)[0] == "agent streamer !"
