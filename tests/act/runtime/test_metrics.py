"""Metrics: every visit, every call, no call twice, nothing that is not known."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from clew.act.workflow import calls
from clew.act.workflow.lazy import LazyResponse
from clew.act.workflow.metrics import MetricsCollector, call_cost
from clew.act.workflow.published import read_call
from clew.act.workflow.run import RunResult
from clew.cost.prices import PriceBook
from clew.cost.tariff import cost
from clew.errors import ModelError
from clew.model.usage import Usage
from clew.testing import recording

Run = Callable[..., RunResult]
MILLION = Usage(input_tokens=1_000_000, output_tokens=0)
MINI: dict[str, Any] = {"model": "gpt-4o-mini", "input_tokens": 1_000_000, "output_tokens": 0}


def say(**params: Any) -> dict[str, Any]:
    return {"type": "say", "params": params}


def call(function: Callable[..., Any], **more: Any) -> dict[str, Any]:
    return {"type": "call", "params": {"function": function}, **more}


def ask(*, error: str | None = None, usage: Usage | None = MILLION, **more: Any) -> None:
    """What a model of Clew does: notes the call, whatever becomes of it."""
    given = {"cost_usd": None, "prompt": None, **more}
    calls.note(calls.ModelCall(node_id="", model="gpt-4o-mini", provider="openai", usage=usage, duration_ns=1, error=error, **given))
    if error is not None:
        raise ModelError(f"the model failed: {error}", kind=error)


def total(metrics: MetricsCollector, found: RunResult) -> tuple[int, float | None]:
    summary = metrics.get_summary(found.shared["__llm_calls__"])
    return summary["metrics"]["total"]["total_calls"], summary["total_cost_usd"]


def test_a_loop_keeps_the_time_of_every_visit(run_document: Run) -> None:
    metrics, left = MetricsCollector(), [3]

    def again() -> dict[str, Any]:
        left[0] -= 1
        return {"action": "again" if left[0] else "default"}

    edges = [{"from": "n0", "to": "n1"}, {"from": "n1", "to": "n0", "action": "again"}]
    node = {"type": "say", "params": {"action": "${n0.action}"}}
    found = run_document(call(again), node, edges=edges, metrics_collector=metrics)
    assert found.status == "ok"
    section = metrics.get_summary([])["metrics"]["workflow"]
    assert section["nodes_executed"] == 6
    assert {node: len(visits) for node, visits in section["node_visits"].items()} == {"n0": 3, "n1": 3}
    for node_id, visits in section["node_visits"].items():
        assert section["node_timings"][node_id] == pytest.approx(sum(visits), abs=0.02)


def test_failed_and_repeated_calls_keep_their_usage_and_cost(run_document: Run) -> None:
    metrics, tries = MetricsCollector(), iter(["rate_limit", "error", None])
    found = run_document(call(lambda: ask(error=next(tries)), retry={"attempts": 3}), metrics_collector=metrics)
    assert total(metrics, found) == (3, 0.45)
    assert [entry["error"] for entry in found.shared["__llm_calls__"]] == ["rate_limit", "error", None]
    lost = run_document(call(lambda: ask(error="timeout")), metrics_collector=(metrics := MetricsCollector()))
    assert lost.status == "error"
    assert total(metrics, lost) == (1, 0.15)


def test_calls_of_batches_and_inner_workflows_are_counted_once(run_document: Run, make_document: Any) -> None:
    from pathlib import Path

    from clew.act.workflow import running

    def inside() -> dict[str, Any]:
        return running.run_inside(make_document(call(lambda: ask()), say(llm_usage=MINI)), {}, base=Path())

    metrics = MetricsCollector()
    parallel = {"items": [1, 2, 3], "parallel": 3}
    found = run_document(
        call(lambda: ask(), batch=parallel),
        {**say(llm_usage=MINI), "batch": parallel},
        {**call(inside), "batch": parallel},
        metrics_collector=metrics,
    )
    assert found.status == "ok", found.error
    assert total(metrics, found) == (12, 1.8)
    assert len(found.calls) == 12
    ids = [entry["node_id"] for entry in found.shared["__llm_calls__"]]
    assert {node_id: ids.count(node_id) for node_id in ids} == {"n0": 3, "n1": 3, "n2/n0": 3, "n2/n1": 3}


def test_a_call_that_a_model_noted_is_not_counted_again_by_its_usage(run_document: Run) -> None:
    def both() -> dict[str, Any]:
        ask()
        return {"llm_usage": MINI}

    found = run_document(call(both), metrics_collector=(metrics := MetricsCollector()))
    assert total(metrics, found) == (1, 0.15)


def test_missing_usage_makes_the_total_unknown(run_document: Run) -> None:
    found = run_document(call(lambda: ask()), call(lambda: ask(usage=None)), metrics_collector=(metrics := MetricsCollector()))
    summary = metrics.get_summary(found.shared["__llm_calls__"])
    assert summary["total_cost_usd"] is None
    assert (summary["partial_cost_usd"], summary["calls_without_usage"], summary["unavailable_models"]) == (0.15, 1, [])


def test_what_the_provider_reports_goes_before_the_price(run_document: Run) -> None:
    prices = PriceBook()
    assert call_cost({**MINI, "cost_usd": 0.07}, prices) == 0.07
    assert call_cost({**MINI, "cost_usd": 0.07, "served_from_cache": True}, prices) == 0.0
    assert call_cost({**MINI, "model": "nobody-knows-1"}, prices) is None
    assert call_cost({"model": "gpt-4o-mini"}, prices) is None


def test_a_call_costs_what_its_model_cost_then() -> None:
    """DeepSeek is cheaper by night: the time of the call counts."""
    prices, usage = PriceBook(), Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    tariff = prices.tariff("deepseek", "deepseek-chat")
    assert tariff is not None
    times = [datetime(2025, 5, 1, hour, tzinfo=UTC) for hour in (12, 20)]
    expected = [cost(usage, tariff, at) for at in times]
    assert expected[0] != expected[1]
    entry = {"model": "deepseek-chat", "provider": "deepseek", "input_tokens": 1_000_000, "output_tokens": 1_000_000}
    assert [call_cost({**entry, "timestamp": at.isoformat()}, prices) for at in times] == expected


def test_cache_and_thinking_are_told_only_when_there_is_some() -> None:
    metrics = MetricsCollector()
    plain = metrics.get_summary([MINI])
    assert not {"cache_performance", "thinking_performance", "pricing_available"} & plain.keys()
    rich = MINI | {"output_tokens": 100, "cache_read_input_tokens": 300, "cache_creation_input_tokens": 100, "reasoning_tokens": 40}
    summary = metrics.get_summary([{**rich, "thinking_budget": 80}])
    assert summary["cache_performance"] == {
        "cache_creation_tokens": 100,
        "cache_read_tokens": 300,
        "cache_efficiency_pct": 75.0,
        "cache_total_tokens": 400,
    }
    assert summary["thinking_performance"] == {
        "thinking_tokens_used": 40,
        "thinking_budget_allocated": 80,
        "thinking_utilization_pct": 50.0,
    }
    section = summary["metrics"]["workflow"]
    assert (section["cache_read_tokens"], section["thinking_tokens"], section["thinking_budget"]) == (300, 40, 80)


def test_planner_and_workflow_are_told_apart() -> None:
    metrics = MetricsCollector()
    metrics.record_planner_start()
    metrics.record_node_execution("write", 2.0, is_planner=True)
    metrics.record_planner_end()
    metrics.record_workflow_start()
    metrics.record_node_execution("say", 1.0)
    metrics.record_workflow_end()
    summary = metrics.get_summary([{**MINI, "is_planner": True}, MINI, MINI])
    assert (summary["metrics"]["planner"]["cost_usd"], summary["metrics"]["workflow"]["cost_usd"]) == (0.15, 0.3)
    assert summary["metrics"]["planner"]["node_timings"] == {"write": 2.0}
    assert (summary["num_nodes"], summary["total_cost_usd"]) == (2, 0.45)
    assert summary["duration_planner_ms"] <= summary["duration_ms"]


def test_record_metrics_and_trace_give_one_time(run_document: Run) -> None:
    metrics = MetricsCollector()
    with recording() as record:
        record.clock.step_ns = 1_000_000
        run_document(say(a=1), say(b=1), metrics_collector=metrics, record=True)
        spans = {span.name: (span.end_ns - span.start_ns) / 1e6 for span in record.spans if span.kind == "node"}
    assert metrics.get_summary([])["metrics"]["workflow"]["node_timings"] == spans


def test_the_record_has_nodes_and_published_calls(run_document: Run) -> None:
    with recording() as record:
        found = run_document(say(a=1), say(llm_usage=MINI), call(lambda: 1 / 0), record=True)
        assert record.tree() == ["workflow test !", "  node n0", "  node n1", "    llm gpt-4o-mini", "  node n2 !"]
        attributes = record.span("n1").attributes
        assert (attributes["clew.node.type"], attributes["clew.node.visit"]) == ("say", 1)
        assert found.run_id == record.span("n1").trace_id
        assert record.span("gpt-4o-mini").attributes["gen_ai.usage.input_tokens"] == 1_000_000


class Lazy:
    """A response as the library llm gives them: the request is made when it is read."""

    model = "gpt-4o-mini"

    def __init__(self) -> None:
        self.asked = 0

    def text(self) -> str:
        self.asked += 1
        return "read"

    def usage(self) -> Any:
        if not self.asked:
            raise AssertionError("usage() before the request")
        return type("Usage", (), {"input": 1_000_000, "output": 0, "details": {"prompt_tokens_details": {"cached_tokens": 0}}})()


def test_a_lazy_response_is_timed_and_priced_when_it_is_read(run_document: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy, metrics = Lazy(), MetricsCollector()

    def read(response: Any) -> dict[str, Any]:
        return {"texts": [response.text(), response.text()]}

    reading = {"type": "call", "params": {"function": read, "args": {"response": "${n0.response}"}}}
    seconds = itertools.count(step=1_000_000_000)
    monkeypatch.setattr("clew.act.workflow.lazy.time.perf_counter_ns", lambda: next(seconds))
    with recording() as record:
        found = run_document(call(lambda: {"response": lazy}), say(asked=0), reading, metrics_collector=metrics, record=True)
        assert record.tree() == ["workflow test", "  node n0", "  node n1", "  node n2", "    llm gpt-4o-mini"]
    assert found.result == {"texts": ["read", "read"]}
    assert lazy.asked == 1
    (entry,) = found.shared["__llm_calls__"]
    assert (entry["node_id"], entry["model"], entry["input_tokens"]) == ("n2", "gpt-4o-mini", 1_000_000)
    assert entry["duration_ms"] == 1000
    assert total(metrics, found) == (1, 0.15)


def test_a_lazy_response_that_nobody_reads_costs_nothing_and_one_for_the_result_is_read(run_document: Run) -> None:
    unread, result = Lazy(), Lazy()
    metrics = MetricsCollector()
    found = run_document(call(lambda: {"response": unread}), call(lambda: {"answer": result}), metrics_collector=metrics)
    assert (unread.asked, result.asked) == (0, 1)
    assert found.result == {"answer": "read"}
    assert total(metrics, found) == (1, 0.15)


def test_a_lazy_response_that_fails_is_a_failed_call(run_document: Run) -> None:
    class Refused(Lazy):
        def text(self) -> str:
            raise TimeoutError("nobody answers")

    found = run_document(call(lambda: {"response": Refused()}), {"type": "call", "params": {"function": lambda response: response.text(), "args": {"response": "${n0.response}"}}}, metrics_collector=MetricsCollector())  # fmt: skip
    assert [entry["error"] for entry in found.shared["__llm_calls__"]] == ["timeout"]
    assert repr(LazyResponse(Lazy())) == "<response of gpt-4o-mini, not read yet>"


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (MINI, (1_000_000, 0, None)),
        ({"model": "m", "input_tokens": 10, "output_tokens": 5, "cache_read_input_tokens": 4}, (10, 5, 4)),
        ({"model": "m", "prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}}, (10, 5, 4)),
        (lambda: {"model": "m", "input_tokens": 1, "output_tokens": 2}, (1, 2, None)),
        ({"model": "m", "input_tokens": None, "output_tokens": None}, None),
    ],
)
def test_usage_is_read_in_every_form_it_is_published_in(published: Any, expected: tuple[int, int, int | None] | None) -> None:
    found = read_call(published, duration_ns=1)
    assert found is not None
    usage = found.usage
    assert (None if usage is None else (usage.input_tokens, usage.output_tokens, usage.cache_read_tokens)) == expected


def test_what_is_no_usage_is_no_call(run_document: Run) -> None:
    nothings: tuple[Any, ...] = (None, {}, [], 0)
    for nothing in nothings:
        found = run_document(say(llm_usage=nothing), metrics_collector=MetricsCollector())
        assert found.shared["__llm_calls__"] == []
