"""A run that goes round in circles, or grows without end, is told or stopped."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

import clew
from clew.errors import BudgetError
from clew.record import state
from clew.testing import Answer, ModelServer, Recording, recording


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as made:
        yield made


@clew.tool
def search(query: str) -> str:
    return f"nothing for {query}"


def times(limit: int, step: Callable[[int], object]) -> int:
    """How often ``step`` was done before it was refused."""
    for number in range(limit):
        try:
            step(number)
        except clew.LoopDetected as error:
            error.add_note(str(number))
            raise
    return limit


def test_the_same_call_of_a_tool_again_and_again_is_stopped(record: Recording) -> None:
    with pytest.raises(clew.LoopDetected) as found, clew.runaway(repeats=3), clew.agent("finder"):
        times(10, lambda _: search("the answer"))
    error = found.value
    assert (error.rule, error.count, error.__notes__) == ("repeats", 4, ["3"])
    assert str(error) == "tool search is called with the same arguments for the 4th time; the limit is 3 (repeats)"
    assert record.tree() == ["other runaway !", "  agent finder !", *["    tool search"] * 3, "    tool search !"]
    refused = record.spans[-1].attributes
    assert (refused["error.type"], refused["clew.loop.rule"], refused["clew.loop.count"], refused["clew.loop.limit"]) == (
        *("loop_detected", "repeats"),
        *(4, 3),
    )


def test_other_arguments_are_another_call(record: Recording) -> None:
    with clew.runaway(repeats=1):
        assert times(20, lambda number: search(str(number))) == 20


def test_arguments_that_are_told_after_the_start_meet_the_next_call(record: Recording) -> None:
    def late(_: int) -> None:
        with clew.tool("late") as span:
            span.input({"query": "same"})

    with pytest.raises(clew.LoopDetected, match="tool late was called 3 times with the same arguments"), clew.runaway(repeats=2):
        times(10, late)


@pytest.mark.parametrize("fails", [False, True])
def test_the_same_result_or_error_again_and_again_is_no_progress(record: Recording, fails: bool) -> None:
    @clew.tool
    def poll(number: int) -> str:
        if fails:
            raise ConnectionError("refused")
        return "pending"

    def step(number: int) -> None:
        with contextlib.suppress(ConnectionError):
            poll(number)

    with (
        pytest.raises(clew.LoopDetected, match="tool poll gave the same 4 times in a row; the limit is 4") as found,
        clew.runaway(no_progress=4),
    ):
        times(10, step)
    assert found.value.__notes__ == ["4"]


def test_results_that_differ_are_progress(record: Recording) -> None:
    with clew.runaway(no_progress=2):
        assert times(20, lambda number: search(str(number % 2))) == 20


def test_a_model_that_always_says_the_same_makes_no_progress(record: Recording) -> None:
    def ask(number: int) -> None:
        with clew.llm("chat", model="m", messages=f"try {number}") as span:
            span.output("I will look into it")

    with pytest.raises(clew.LoopDetected, match="model m gave the same 3 times"), clew.runaway(no_progress=3):
        times(10, ask)


def test_agents_inside_agents_have_a_depth(record: Recording) -> None:
    def delegate(level: int) -> None:
        with clew.agent(f"level {level}"):
            delegate(level + 1)

    with pytest.raises(clew.LoopDetected, match="agent level 4 is 4 agents deep; the limit is 3"), clew.runaway(depth=3):
        delegate(1)


def test_fan_out_has_a_width_and_a_number(record: Recording) -> None:
    def spawn(number: int) -> None:
        with clew.agent(f"worker {number}"):
            pass

    with pytest.raises(clew.LoopDetected, match="lead has started 6 spans directly below it"), clew.runaway(children=5), clew.agent("lead"):
        times(10, spawn)
    with pytest.raises(clew.LoopDetected, match="agent worker 3 is number 4 of this run"), clew.runaway(agents=3):
        times(10, spawn)


def test_a_soft_limit_tells_once_and_lets_go_on(record: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with clew.runaway(repeats=2, hard=False):
        assert times(5, lambda _: search("x")) == 5
    told = [event["attributes"] for span in record.spans for event in span.events if event["name"] == "clew.loop"]
    assert told == [{"clew.loop.rule": "repeats", "clew.loop.count": 3, "clew.loop.limit": 2, "clew.loop.subject": "search"}]
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
        "tool search is called with the same arguments for the 3rd time; the limit is 2 (repeats)"
    ]


def test_each_run_is_counted_for_itself(record: Recording) -> None:
    limit = clew.runaway(repeats=2, name="everywhere").apply()
    try:
        for _ in range(3):
            with clew.workflow("w"):
                assert times(2, lambda _: search("x")) == 2
        with pytest.raises(clew.LoopDetected), clew.workflow("w"):
            times(3, lambda _: search("x"))
    finally:
        limit.remove()


def test_a_file_declares_limits_for_every_run(tmp_path: Path) -> None:
    (tmp_path / "budgets.toml").write_text("[runaway]\nrepeats = 2\n")
    clew.init(data_dir=tmp_path, service="test", spool=False)
    try:
        with pytest.raises(clew.LoopDetected), clew.workflow("w"):
            times(3, lambda _: search("x"))
    finally:
        clew.shutdown()
        state.forget()


def test_limits_that_cannot_be_are_refused() -> None:
    with pytest.raises(BudgetError, match="depth = 0 is not usable"):
        clew.runaway(depth=0)
    with pytest.raises(BudgetError, match="limits nothing"):
        clew.runaway()


def test_a_runaway_agent_is_stopped_in_its_tool_loop(record: Recording) -> None:
    """An agent whose model asks for the same tool for ever, over a real model server: the loop ends at the limit, not at the model's."""

    def agent(url: str) -> None:
        talk: list[dict[str, Any]] = [{"role": "user", "content": "find it"}]
        with clew.agent("researcher"):
            while True:
                body = {"model": "m", "messages": talk}
                with clew.llm("chat", model="m", provider="openai", messages=talk, max_tokens=10) as span:
                    asked = Request(f"{url}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
                    with urlopen(asked, timeout=30) as answered:
                        answer = json.load(answered)
                    span.response(answer)
                message = answer["choices"][0]["message"]
                talk += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": search("the answer")}]

    with ModelServer(lambda _: Answer(calls=(("search", {"query": "the answer"}),))) as server:
        with pytest.raises(clew.LoopDetected), clew.runaway(repeats=4), clew.budget(calls=100):
            agent(server.url)
        assert len(server.asked) == 5
        with pytest.raises(clew.BudgetExceeded), clew.runaway(repeats=100), clew.budget(calls=7):
            agent(server.url)
        assert len(server.asked) == 5 + 7
