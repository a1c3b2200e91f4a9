"""Budgets hold: a call that has no room is refused before it is made, what it used is booked once, and what is not known is said."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import clew
from clew.cost.budgets.ledger import Ledger, LedgerError
from clew.errors import BudgetError, Refused
from clew.record import state
from clew.record.limits import budgets
from clew.testing import Clock, Recording, recording


@pytest.fixture
def record() -> Iterator[Recording]:
    with recording() as made:
        yield made


def call(output: int | None = 40, *, most: int = 50, text: str = "hi", **more: Any) -> None:
    """A model call; ``output`` None: the provider says no usage."""
    with clew.llm("chat", model="gpt-4o-mini", provider="openai", max_tokens=most, messages=text, **more) as span:
        if output is not None:
            span.usage(input_tokens=10, output_tokens=output)


def calls_until_refused() -> int:
    """How many were made."""
    made = 0
    while True:
        try:
            call()
        except clew.BudgetExceeded as error:
            error.add_note(str(made))
            raise
        made += 1


def test_a_hard_budget_refuses_the_call_before_it_is_made(record: Recording) -> None:
    with pytest.raises(clew.BudgetExceeded) as refused, clew.budget("small", tokens=200), clew.agent("planner"):
        calls_until_refused()
    error = refused.value
    assert error.__notes__ == ["3"]  # 150 of 200 are spent, and a call reserves 50 for its output alone
    assert (error.budget, error.measure, error.limit, error.spent) == ("small", "tokens", 200, 150)
    assert "150 of 200 tokens spent" in str(error)
    assert "clew budgets explain small" in str(error)
    assert record.tree() == ["other budget small !", "  agent planner !", *["    llm chat"] * 3, "    llm chat !"]
    last = record.spans[-1]
    assert {key: last.attributes[key] for key in last.attributes if key.startswith(("clew.budget", "error", "gen_ai.usage"))} == {
        "clew.budget.name": "small",
        "clew.budget.key": "",
        "clew.budget.measure": "tokens",
        "clew.budget.limit": 200.0,
        "clew.budget.spent": 150.0,
        "clew.budget.asked": error.asked,
        "error.type": "budget_exceeded",
        "gen_ai.usage.input_tokens": 0,
        "gen_ai.usage.output_tokens": 0,
    }


def test_what_is_booked_is_what_was_used_not_what_was_reserved(record: Recording) -> None:
    with clew.budget(tokens=10_000) as budget:
        with clew.llm("chat", max_tokens=2000, messages="x" * 300) as span:
            state = budget.state()
            assert state.reserved["tokens"] == pytest.approx(2000 + 100, abs=40)
            assert state.remaining["tokens"] == 10_000 - state.reserved["tokens"]
            span.usage(input_tokens=80, output_tokens=20)
        assert (budget.state().spent, budget.state().reserved) == ({"tokens": 100.0}, {"tokens": 0.0})
        assert budget.state().remaining == {"tokens": 9_900.0}


def test_a_failed_call_is_booked_too(record: Recording) -> None:
    with clew.budget(tokens=10_000, calls=100) as budget:
        with suppress(KeyError), clew.llm("chat", max_tokens=10, messages="hi") as span:
            span.usage(input_tokens=7, output_tokens=3)
            raise KeyError
        assert budget.state().spent == {"tokens": 10.0, "calls": 1.0}


def test_a_call_without_usage_keeps_its_estimate_and_says_so(record: Recording) -> None:
    with clew.budget(tokens=10_000) as budget:
        call(None)
        state = budget.state()
    assert state.estimated_calls == 1
    assert state.spent["tokens"] > 50
    assert record.span("chat").attributes["clew.budget.estimated"] is True


@pytest.mark.parametrize("error", ["RateLimitError", "APIConnectionError", "BadRequestError"])
def test_a_call_that_the_provider_turned_away_used_nothing(record: Recording, error: str) -> None:
    with clew.budget(tokens=10_000, calls=100) as budget:
        with pytest.raises(Exception), clew.llm("chat", max_tokens=10, messages="hi"):  # noqa: B017, PT011
            raise type(error, (Exception,), {})
        assert budget.state().spent == {"tokens": 0.0, "calls": 1.0}
        assert budget.state().estimated_calls == 0


def test_a_timeout_may_have_been_charged(record: Recording) -> None:
    with clew.budget(tokens=10_000) as budget:
        with pytest.raises(TimeoutError), clew.llm("chat", max_tokens=10, messages="hi"):
            raise TimeoutError
        assert budget.state().spent["tokens"] > 10


def test_an_answer_from_a_local_cache_costs_nothing(record: Recording) -> None:
    with clew.budget(tokens=100, calls=1) as budget:
        for _ in range(3):
            call(cache_hit=True)
        with clew.llm("chat", max_tokens=1) as span:
            span.usage(input_tokens=10, output_tokens=5).set("cache_hit", True)
        assert budget.state().spent == {"tokens": 0.0, "calls": 0.0}


def test_only_leaf_calls_are_booked(record: Recording) -> None:
    """An agent repeats its calls' tokens, a wrapper its client's: each is spent once."""
    with clew.budget(tokens=1000, calls=1) as budget:
        with clew.agent("planner") as agent:
            with clew.llm("wrapper", max_tokens=100) as outer:
                with clew.llm("client", max_tokens=100) as inner:
                    inner.usage(input_tokens=60, output_tokens=40)
                outer.usage(input_tokens=60, output_tokens=40)
            agent.usage(input_tokens=60, output_tokens=40)
        assert budget.state().spent == {"tokens": 100.0, "calls": 1.0}


def test_usage_that_only_a_wrapper_knows_replaces_the_estimate_of_the_call_inside(record: Recording) -> None:
    with clew.budget(tokens=100_000, calls=5) as budget:
        with clew.llm("wrapper", max_tokens=100) as outer:
            call(None, most=50)
            outer.usage(input_tokens=600, output_tokens=400)
        assert budget.state().spent == {"tokens": 1000.0, "calls": 1.0}


def test_an_agent_that_tells_only_a_total_is_booked(record: Recording) -> None:
    with clew.budget(tokens=100) as budget:
        with clew.agent("black box") as agent:
            agent.usage(input_tokens=600, output_tokens=400)
        state = budget.state()
    assert state.spent == {"tokens": 1000.0}
    assert state.remaining == {"tokens": -900.0}  # an overspend shows as what it is


def test_of_nested_budgets_the_tightest_wins(record: Recording) -> None:
    with clew.budget("outer", tokens=100_000) as outer:
        with pytest.raises(clew.BudgetExceeded, match="budget inner"), clew.budget("inner", tokens=120):
            calls_until_refused()
        call()
        assert outer.state().spent["tokens"] == 150
    with pytest.raises(clew.BudgetExceeded, match="budget outer"), clew.budget("outer", calls=1), clew.budget("inner", calls=5):
        calls_until_refused()


def test_a_soft_budget_tells_each_threshold_once(record: Recording, caplog: pytest.LogCaptureFixture) -> None:
    with clew.budget("soft", tokens=100, hard=False) as budget:
        for _ in range(4):
            call(20)
    events = [(span.name, event["name"], event["attributes"]["clew.budget.threshold"]) for span in record.spans for event in span.events]
    assert events == [("chat", "clew.budget.threshold", 80.0), *[("chat", "clew.budget.threshold", value) for value in (95.0, 100.0)]]
    assert budget.state().remaining == {"tokens": -20.0}
    assert budget.state().percent == {"tokens": 120.0}
    assert [line.getMessage() for line in caplog.records if line.levelno == logging.WARNING] == [
        "budget soft has passed 80 %: 90 of 100 tokens spent",
        "budget soft has passed 100 %: 120 of 100 tokens spent",
    ]


def test_each_agent_has_an_account_of_its_own(record: Recording) -> None:
    with clew.budget("each", calls=1, per="agent") as budget:
        for name in ("planner", "coder"):
            with clew.agent(name):
                call()
                with pytest.raises(clew.BudgetExceeded, match=f"of agent {name} is spent"):
                    call()
        call()  # no agent's
        assert {state.key: state.spent["calls"] for state in budget.states()} == {"planner": 1.0, "coder": 1.0}


@pytest.mark.parametrize("scope", ["workflow", "stage", "agent", "persona", "session", "user"])
def test_scopes_are_those_of_the_spans_around(record: Recording, scope: Any) -> None:
    with clew.budget("scoped", tokens=10_000, per=scope) as budget:
        around = {"workflow": clew.workflow("it"), "agent": clew.agent("it")}.get(scope) or clew.node("step", **{scope: "it"})
        with around, clew.tool("deeper"):
            call()
        assert [(state.key, state.spent) for state in budget.states()] == [("it", {"tokens": 50.0})]


def test_a_budget_of_a_model_is_of_that_model(record: Recording) -> None:
    with clew.budget(calls=1, model="gpt-4o*"):
        with clew.llm("chat", model="claude-sonnet-4"):
            pass
        call()
        with pytest.raises(clew.BudgetExceeded):
            call()


def test_a_run_has_an_account_of_its_own(record: Recording) -> None:
    budget = clew.budget("run", calls=1, per="run").apply()
    try:
        for _ in range(2):
            with clew.workflow("w"):
                call()
                with pytest.raises(clew.BudgetExceeded):
                    call()
        assert len(budget.states()) == 2
    finally:
        budget.remove()


def test_usd_is_computed_or_reported(record: Recording) -> None:
    pytest.importorskip("genai_prices")
    with clew.budget(usd=1) as budget:
        with clew.llm("chat", model="gpt-4o-mini", provider="openai") as span:
            span.usage(input_tokens=1_000_000, output_tokens=0)
        assert budget.state().spent["usd"] == pytest.approx(0.15)
        with clew.llm("chat", model="gpt-4o-mini", provider="openai") as span:
            span.usage(input_tokens=10, output_tokens=10).cost(0.5)
        assert budget.state().spent["usd"] == pytest.approx(0.65)


def test_a_model_without_a_price_is_refused_or_counted_never_free(record: Recording) -> None:
    with (
        clew.budget("hard", usd=1),
        pytest.raises(clew.BudgetExceeded, match="the price of house-model is not known"),
        clew.llm("chat", model="house-model"),
    ):
        pass
    with clew.budget("soft", usd=1, hard=False) as budget:
        with clew.llm("chat", model="house-model") as span:
            span.usage(input_tokens=10, output_tokens=10)
        assert (budget.state().spent, budget.state().unpriced_calls) == ({"usd": 0.0}, 1)


def test_wall_time_of_a_block_is_the_time_since_it_was_entered() -> None:
    clock = Clock()
    with recording(clock=clock), clew.budget("quick", seconds=10) as budget:
        call()
        clock.advance(11)
        with pytest.raises(clew.BudgetExceeded, match="is spent"):
            call()
        assert budget.state().spent["seconds"] < 1  # the refused call is not booked, and the first one ended early


def test_wall_time_of_an_agent_is_that_of_its_spans() -> None:
    clock = Clock()
    with recording(clock=clock):
        budget = clew.budget("slow agents", seconds=10, per="agent").apply()
        try:
            for _ in range(2):
                with clew.agent("planner"):
                    call()
                    clock.advance(6)
            assert budget.state(agent="planner").spent["seconds"] == pytest.approx(12, abs=0.1)
            with pytest.raises(clew.BudgetExceeded, match="of agent planner"), clew.agent("planner"):
                call()
        finally:
            budget.remove()


def test_it_holds_in_threads_pools_and_tasks(record: Recording) -> None:
    refused = []

    def work() -> None:
        try:
            call()
        except clew.BudgetExceeded:
            refused.append(1)

    async def tasks() -> None:
        async with clew.budget(calls=1):
            await asyncio.gather(*(asyncio.to_thread(work) for _ in range(3)))

    with clew.budget(calls=1):
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    with clew.budget(calls=1), ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: work(), range(3)))
    asyncio.run(tasks())
    assert len(refused) == 6


def test_a_decorated_function_has_the_budget_for_each_call(record: Recording) -> None:
    @clew.budget("each call", calls=1)
    def twice() -> None:
        call()
        call()

    @clew.budget("async", calls=1)
    async def later() -> None:
        call()

    for _ in range(2):
        with pytest.raises(clew.BudgetExceeded):
            twice()
        asyncio.run(later())


def test_the_block_gives_a_fresh_account_each_time_it_is_entered(record: Recording) -> None:
    budget = clew.budget("again", calls=1)
    for _ in range(3):
        with budget:
            call()
        assert budget.state().spent == {"calls": 1.0}


def test_charging_and_resetting(record: Recording) -> None:
    budget = clew.budget("persona", per="persona", persona="back*", tokens=2000, hard=False).apply()
    try:
        budget.charge(tokens=850, persona="backend")
        assert budget.state(persona="backend").remaining == {"tokens": 1150.0}
        budget.charge(tokens=5000, persona="backend")
        assert budget.state(persona="backend").remaining == {"tokens": -3850.0}
        budget.reset(persona="backend")
        assert budget.state(persona="backend").remaining == {"tokens": 2000.0}
        with pytest.raises(BudgetError, match="give persona="):
            budget.state()
    finally:
        budget.remove()


def test_a_call_through_opentelemetrys_api_is_refused(record: Recording) -> None:
    pytest.importorskip("opentelemetry.trace")
    tracer = clew.tracer_provider().get_tracer("theirs")
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o-mini", "gen_ai.request.max_tokens": 10}
    with clew.budget(calls=1):
        span = tracer.start_span("chat", attributes=attributes)
        span.set_attribute("gen_ai.usage.input_tokens", 10)
        span.end()
        with pytest.raises(clew.BudgetExceeded):
            tracer.start_span("chat", attributes=attributes)


def test_what_opentelemetrys_api_tells_only_at_the_end_is_booked_and_meets_the_next_call(record: Recording) -> None:
    pytest.importorskip("opentelemetry.trace")
    tracer = clew.tracer_provider().get_tracer("theirs")
    with clew.budget(tokens=100) as budget:
        span = tracer.start_span("ChatCompletion")
        span.set_attributes({"openinference.span.kind": "LLM", "llm.token_count.prompt": 90, "llm.token_count.completion": 30})
        span.end()
        assert budget.state().spent == {"tokens": 120.0}
        with pytest.raises(clew.BudgetExceeded):
            call()


def test_a_stream_that_is_given_up_keeps_its_estimate(record: Recording) -> None:
    with clew.budget(tokens=10_000) as budget:
        span = clew.llm("chat", max_tokens=50, messages="hi").start()
        assert budget.state().reserved["tokens"] > 50
        record.flush()
        del span
        call()
        assert budget.state().reserved == {"tokens": 0.0}
        assert budget.state().estimated_calls == 1


def test_another_processors_refusal_frees_the_reservation() -> None:
    class No:
        def on_start(self, span: clew.Span) -> None:
            if span.kind == "llm":
                raise Refused("no")

        def on_end(self, span: clew.Span) -> None: ...

    with recording() as made, clew.budget(tokens=1000) as budget:
        made._recorder.processors = (*made._recorder.processors, No())
        with pytest.raises(Refused, match="no"):
            call()
        assert (budget.state().spent, budget.state().reserved) == ({"tokens": 0.0}, {"tokens": 0.0})


def test_recording_that_is_off_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with recording():
        before = state.recorder
        state.use(None)
        try:
            with clew.budget("unheld", calls=0):
                call()
            clew.budget("unheld too", calls=0)(call)()
        finally:
            state.use(before)
    assert "recording is off, so budget unheld does not hold" in caplog.text
    assert "recording is off, so budget unheld too does not hold" in caplog.text


# -- declared in files ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def declared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(budgets, "LOOKED_EVERY_S", 0.0)
    clew.init(data_dir=tmp_path, service="test", spool=False, budgets=tmp_path / "budgets.toml")
    yield tmp_path / "budgets.toml"
    clew.shutdown()
    state.forget()


def test_a_file_of_budgets_holds_for_every_call(declared: Path) -> None:
    declared.write_text('[[budget]]\nname = "daily"\ncalls = 1\nwindow = "day"\n')
    call()
    with pytest.raises(clew.BudgetExceeded, match=r"budget daily is spent.*wait for the next period"):
        call()
    declared.write_text('[[budget]]\nname = "daily"\ncalls = 2\nwindow = "day"\n')  # a change is seen
    call()


def test_a_file_that_cannot_be_used_is_said_and_what_it_declared_before_holds(declared: Path, caplog: pytest.LogCaptureFixture) -> None:
    declared.write_text('[[budget]]\nname = "two"\ncalls = 1\n')
    call()
    declared.write_text('[[budget]]\nname = "two"\ncalls = "many"\n')
    with pytest.raises(clew.BudgetExceeded):
        call()
    assert f"{declared}, line 3: budget two: calls = 'many' is not usable: expected a number" in caplog.text


@pytest.mark.parametrize("how", ["open", "closed"])
def test_a_damaged_ledger_meets_the_rule(tmp_path: Path, how: str, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "budgets.sqlite").write_bytes(b"no database at all" * 100)
    (tmp_path / "budgets.toml").write_text('[[budget]]\nname = "one"\ncalls = 1\n')
    clew.init(data_dir=tmp_path, service="test", spool=False, budget_failure=how)
    try:
        if how == "closed":
            with pytest.raises(Refused, match=r"is damaged.*CLEW_BUDGET_FAILURE=open"):
                call()
        else:
            call()
            assert "is damaged" in caplog.text
            assert "within this process alone" in caplog.text
            with pytest.raises(clew.BudgetExceeded):  # and there it holds
                call()
    finally:
        clew.shutdown()
        state.forget()


def test_a_call_that_cannot_be_booked_is_booked_with_the_next(record: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    with clew.budget(tokens=10_000) as budget:
        settle = Ledger.settle
        with monkeypatch.context() as busy, clew.llm("chat") as span:
            span.usage(input_tokens=60, output_tokens=40)

            def locked(*_: Any) -> Any:
                raise LedgerError("locked", busy=True)

            busy.setattr(Ledger, "settle", locked)
            span.__exit__(None, None, None)
        assert Ledger.settle is settle
        assert budget.state().spent == {"tokens": 0.0}
        call()
        assert budget.state().spent == {"tokens": 150.0}
        assert budget.state().reserved == {"tokens": 0.0}


def test_a_file_that_cannot_be_used_refuses_calls_where_the_rule_is_closed(tmp_path: Path) -> None:
    (tmp_path / "budgets.toml").write_text("[[budget]]\n")
    clew.init(data_dir=tmp_path, service="test", spool=False, budget_failure="closed")
    try:
        with pytest.raises(Refused, match=r"budgets\.toml, line 1: name = None is not usable"):
            call()
        with clew.tool("others go on"):
            pass
    finally:
        clew.shutdown()
        state.forget()
