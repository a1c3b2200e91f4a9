"""Labels: whose work goes on is known to every model call below, wherever that runs, without being handed down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

import pytest

import clew
from clew.record import labels
from clew.testing import recording


def call(name: str = "chat", **keywords: str) -> None:
    with clew.llm(name, **keywords):
        pass


def test_a_model_call_takes_the_labels_that_hold_where_it_starts() -> None:
    with recording() as record:
        whose = labels.within(persona="tester", chatmode="bug-fix", workflow="release", stage="build", session="s", user="u")
        with whose, clew.tool("search"):
            call("inside")
        call("outside")
    assert record.span("inside").attributes == {
        "gen_ai.operation.name": "chat",
        "clew.persona": "tester",
        "clew.chatmode": "bug-fix",
        "gen_ai.workflow.name": "release",
        "clew.stage": "build",
        "gen_ai.conversation.id": "s",
        "user.id": "u",
    }
    assert record.span("outside").attributes == {"gen_ai.operation.name": "chat"}
    assert "clew.persona" not in record.span("search").attributes


def test_what_a_call_names_itself_wins() -> None:
    with recording() as record, labels.within(persona="tester", stage="build"):
        call("keyword", persona="coder")
        call("attribute", **{"clew.stage": "deploy"})
        with clew.llm("started") as span:
            span.set("persona", "late")
    assert record.span("keyword").attributes["clew.persona"] == "coder"
    assert record.span("attribute").attributes["clew.stage"] == "deploy"
    assert record.span("started").attributes["clew.persona"] == "late"


def test_a_function_is_labelled_where_it_is_called_and_not_where_it_is_decorated() -> None:
    with labels.within(persona="decorator"):

        @clew.llm
        def ask() -> None: ...

    with recording() as record, labels.within(persona="caller"):
        ask()
    assert record.span("ask").attributes["clew.persona"] == "caller"


def test_inner_labels_add_to_outer_ones_and_none_takes_one_away() -> None:
    with labels.within(persona="a", stage="b"):
        with labels.within(persona="c"):
            assert labels.current() == {"persona": "c", "stage": "b"}
        with labels.within(persona=None):
            assert labels.current() == {"stage": "b"}
    assert labels.current() == {}


def test_a_switch_holds_until_it_is_undone() -> None:
    token = labels.put(persona="a")
    assert labels.current() == {"persona": "a"}
    labels.restore(token)
    assert labels.current() == {}


def test_labels_reach_threads_pools_and_tasks() -> None:
    with recording() as record, ThreadPoolExecutor(1) as pool:
        with labels.within(persona="p"):
            thread = threading.Thread(target=call, args=("thread",))
            thread.start()
            thread.join()
            pool.submit(call, "pool").result()

            async def main() -> None:
                await asyncio.gather(asyncio.to_thread(call, "to_thread"), asyncio.create_task(task()))

            async def task() -> None:
                call("task")

            asyncio.run(main())
            carried = clew.propagate(call)
        carried("propagated")
        pool.submit(call, "later").result()
    assert {span.name: span.attributes.get("clew.persona") for span in record.spans} == {
        **dict.fromkeys(("thread", "pool", "to_thread", "task", "propagated"), "p"),
        "later": None,
    }


def test_spans_of_foreign_instrumentations_take_them_too() -> None:
    pytest.importorskip("opentelemetry.trace", reason="needs opentelemetry-api")
    with recording() as record, labels.within(persona="p", user="ours"):
        clew.tracer_provider().get_tracer("lib").start_span("foreign", attributes={"user.id": "theirs"}).end()
    assert record.span("foreign").attributes == {"clew.persona": "p", "user.id": "theirs"}


def test_an_unknown_label_is_named() -> None:
    with pytest.raises(TypeError, match="no such label: colour; there are persona, chatmode"):
        labels.put(colour="red")


@pytest.mark.parametrize(
    ("given", "held"),
    [("persona=tester,stage=build", {"persona": "tester", "stage": "build"}), ("colour=red,persona=", {}), ("nonsense", {})],
)
def test_a_process_may_be_started_with_labels(given: str, held: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEW_LABELS", given)
    fresh: ContextVar[Mapping[str, str]] = ContextVar("fresh")
    monkeypatch.setattr(labels, "_current", fresh)
    monkeypatch.setattr(labels, "held", fresh.get)
    labels.inherited.cache_clear()
    try:
        assert dict(labels.current()) == held
        with labels.within(stage="test"):
            assert dict(labels.current()) == {**held, "stage": "test"}
        assert dict(labels.current()) == held
    finally:
        labels.inherited.cache_clear()
