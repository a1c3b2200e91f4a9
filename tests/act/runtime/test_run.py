"""What a run does: edges, errors, loops, retries, time-outs, fallbacks, batches, sub-workflows, inputs and outputs."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from clew.act.workflow import running
from clew.act.workflow.attempts import LONGEST_WAIT_S
from clew.act.workflow.compile import compile_workflow
from clew.act.workflow.document import Document
from clew.act.workflow.instrumented import InstrumentedNodeWrapper
from clew.act.workflow.metrics import MetricsCollector
from clew.act.workflow.namespaced import NamespacedNodeWrapper
from clew.act.workflow.nodes.node import NodeType
from clew.act.workflow.nodes.node import Params as BaseParams
from clew.act.workflow.run import RunInterrupted, RunResult, run
from clew.act.workflow.templated import TemplateAwareNodeWrapper
from clew.act.workflow.trace import WorkflowTraceCollector
from clew.errors import DocumentError, ModelError

Run = Callable[..., RunResult]
Types = dict[str, type[NodeType]]
Make = Callable[..., Document]


def say(**params: Any) -> dict[str, Any]:
    return {"type": "say", "params": params}


def call(function: Callable[..., Any], **more: Any) -> dict[str, Any]:
    return {"type": "call", "params": {"function": function, "args": more.pop("args", {})}, **more}


def fails(times: int = 10**6, error: type[BaseException] = ValueError) -> Callable[[], str]:
    """A function that fails so many times."""
    left = [times]

    def function() -> str:
        left[0] -= 1
        if left[0] >= 0:
            raise error("bang")
        return "fine"

    return function


def test_results_live_under_the_nodes_id_and_templates_keep_types(run_document: Run) -> None:
    found = run_document(say(count=3, items=[1, {"a": None}]), say(count="${n0.count}", text="n=${n0.count} ${n0.items.1}"))
    assert found.status == "ok"
    assert found.result == {"count": 3, "text": 'n=3 {"a":null}'}
    assert found.shared["n0"] == {"count": 3, "items": [1, {"a": None}]}


def test_outputs_are_resolved_at_the_end(run_document: Run) -> None:
    found = run_document(say(a=1), say(b=2), outputs={"first": "${n0.a}", "both": "${n0.a}/${n1.b}"})
    assert found.result == {"first": 1, "both": "1/2"}
    failed = run_document(say(a=1), outputs={"first": "${n0.b}"})
    assert (failed.status, failed.result) == ("error", {})
    assert failed.error == "outputs: ${n0.b}: n0 has no b; its keys are a"


def test_actions_choose_the_edge(run_document: Run) -> None:
    edges = [{"from": "n0", "to": "n1", "action": "left"}, {"from": "n0", "to": "n2", "action": "right"}]
    assert run_document(say(action="right"), say(went="left"), say(went="right"), edges=edges).result == {"went": "right"}
    assert run_document(say(), say(went="left"), say(went="right"), edges=edges).result == {}
    lost = run_document(say(action="rigth"), say(went="left"), say(went="right"), edges=edges)
    assert lost.error == "node n0 failed: it ended with action 'rigth', and no edge from it has that action; did you mean right?"


def test_a_failed_node_takes_its_error_edge(run_document: Run) -> None:
    edges = [{"from": "n0", "to": "n1", "action": "error"}]
    found = run_document(call(fails()), say(text="${n0.error_type}: ${n0.error}"), edges=edges)
    assert (found.status, found.result) == ("ok", {"text": "ValueError: bang"})


def test_a_failed_node_without_one_fails_the_run(run_document: Run) -> None:
    found = run_document(say(a=1), call(fails()), say(b=2))
    assert (found.status, found.error, found.failed_node, found.result) == ("error", "node n1 failed: bang", "n1", {})
    assert "n2" not in found.shared
    assert run_document(call(fails(error=SystemExit))).error == "node n0 failed: it called sys.exit('bang')"


def test_a_loop_without_an_end_ends(run_document: Run) -> None:
    seen: list[int] = []
    loop = [{"from": "n0", "to": "n0"}]
    found = run_document(call(lambda: seen.append(1)), edges=loop, max_visits=7)
    assert len(seen) == 7
    assert found.error == "node n0 failed: it ran 7 times: a loop without an end, or raise max_visits"


def test_a_node_is_tried_again_with_growing_waits(run_document: Run, no_waiting: list[float]) -> None:
    retry = {"attempts": 4, "wait_s": 0.5, "backoff": 3}
    found = run_document(call(fails(3), retry=retry))
    assert (found.status, found.result) == ("ok", {"result": "fine"})
    assert no_waiting == [0.5, 1.5, 4.5]
    assert run_document(call(fails(4), retry=retry)).error == "node n0 failed: bang"


def test_a_node_waits_as_long_as_it_is_asked_to(run_document: Run, no_waiting: list[float]) -> None:
    asked = iter([7.0, 0.1, 9_000.0])

    def refused() -> dict[str, Any]:
        raise ModelError("slow down", kind="rate_limit", retry_after_s=next(asked, None))

    assert run_document(call(refused, retry={"attempts": 4, "wait_s": 0.5, "backoff": 1})).status == "error"
    assert no_waiting == [7.0, 0.5, LONGEST_WAIT_S]


def test_what_nodes_will_need_is_loaded_when_the_run_begins(tmp_path: Path) -> None:
    loaded, done = [], threading.Event()

    class Slow(NodeType):
        type = "slow"

        class Params(BaseParams):
            model: str

        @classmethod
        def load(cls, params: Mapping[str, Any]) -> None:
            loaded.append(params["model"])
            if len(loaded) == 2:
                done.set()
            raise ImportError("the node says this itself")

        def execute(self, params: Any) -> dict[str, Any]:
            assert done.wait(30)
            return {"model": params.model}

    nodes = [{"id": name, "type": "slow", "params": {"model": name}} for name in ("a", "b")]
    document = Document.model_validate({"name": "test", "nodes": nodes, "edges": [{"from": "a", "to": "b"}]})
    assert run(document, {}, base=tmp_path, types={"slow": Slow}, record=False).result == {"model": "b"}
    assert loaded == ["a", "b"]


def test_a_fallback_stands_in_when_every_try_has_failed(run_document: Run) -> None:
    found = run_document(say(a=1), call(fails(), fallback={"result": "instead of ${n0.a}"}, retry={"attempts": 2}))
    assert (found.status, found.result) == ("ok", {"result": "instead of 1"})


def test_a_try_that_hangs_is_given_up(run_document: Run, gate: threading.Event) -> None:
    stopped: list[str] = []
    late: list[str] = []

    def hang() -> dict[str, Any]:
        with running.on_abandon(lambda: stopped.append("killed")):
            gate.wait(30)
        late.append("went on")
        return {"result": "too late"}

    found = run_document(call(hang, timeout_s=0.01))
    assert found.error == "node n0 failed: no result within 0.01 s; raise timeout_s, or see why it hangs"
    assert found.shared["n0"]["error_type"] == "timeout"
    assert stopped == ["killed"]
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "clew-try"]
    gate.set()
    thread.join(30)
    assert late == ["went on"]
    assert found.shared["n0"].keys() == {"error", "error_type"}


def test_a_try_knows_how_long_it_may_take(run_document: Run) -> None:
    assert run_document(call(running.remaining_s)).result == {"result": None}
    left = run_document(call(running.remaining_s, timeout_s=60)).result["result"]
    assert 0 < left <= 60


def batched(node: dict[str, Any], items: Any, **more: Any) -> dict[str, Any]:
    return {**node, "batch": {"items": items, **more}}


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_batch_keeps_the_order_of_its_items(run_document: Run, parallel: int) -> None:
    found = run_document(say(list=["a", "b", "c", "d"]), batched(say(text="${index}${item}"), "${n0.list}", parallel=parallel))
    assert found.result == {"results": [{"text": text} for text in ("0a", "1b", "2c", "3d")], "count": 4, "failed": 0}


def test_items_of_a_batch_run_at_once_and_keep_the_context(run_document: Run) -> None:
    barrier = threading.Barrier(3, timeout=30)
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="lost")
    variable.set("kept")

    def meet(number: int) -> dict[str, Any]:
        barrier.wait()
        return {"number": number, "variable": variable.get()}

    found = run_document(batched(call(meet, args={"number": "${it}"}), [1, 2, 3], parallel=3, **{"as": "it"}))
    assert found.result["results"] == [{"number": number, "variable": "kept"} for number in (1, 2, 3)]


@pytest.mark.parametrize("parallel", [1, 2])
def test_a_failed_item_fails_the_batch_or_is_noted(run_document: Run, parallel: int) -> None:
    def odd(number: int) -> int:
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number

    node = call(odd, args={"number": "${item}"})
    going = run_document(batched(node, [0, 1, 2], parallel=parallel, on_error="continue"))
    assert going.result == {"results": [{"result": 0}, {"error": "1 is odd"}, {"result": 2}], "count": 3, "failed": 1}
    failing = run_document(batched(node, [0, 1, 2], parallel=parallel))
    assert failing.error == "node n0 failed: 1 is odd"
    assert failing.shared["n0"]["failed"] == 1
    stand_in = run_document(batched({**node, "fallback": {"result": "${item}!"}}, [0, 1], parallel=parallel))
    assert stand_in.result["results"] == [{"result": 0}, {"result": "1!"}]


def test_a_batch_needs_a_list(run_document: Run) -> None:
    found = run_document(batched(say(), "no list"))
    assert found.error == "node n0 failed: batch.items is a text, not a list; give it a list, or a template of one"


INNER = {
    "name": "inner",
    "inputs": {"who": {"type": "string"}},
    "nodes": [{"id": "greet", "type": "say", "params": {"text": "hello $${inputs.who}"}}],
    "outputs": {"text": "$${greet.text}"},
}
"""A document inside a document: its templates are its own."""


def inner(who: str) -> dict[str, Any]:
    return {"type": "inner", "params": {"document": INNER, "inputs": {"who": who}}}


def test_a_workflow_runs_inside_a_node(run_document: Run) -> None:
    metrics = MetricsCollector()
    found = run_document(inner("you"), batched(inner("${item}"), ["a", "b"], parallel=2), metrics_collector=metrics)
    assert found.shared["n0"] == {"text": "hello you"}
    assert found.result["results"] == [{"text": "hello a"}, {"text": "hello b"}]
    section = metrics.get_summary([])["metrics"]["workflow"]
    assert section["node_timings"].keys() == {"n0", "n0/greet", "n1", "n1/greet"}
    assert len(section["node_visits"]["n1/greet"]) == 2


def test_a_workflow_that_contains_itself_ends(run_document: Run, make_document: Make) -> None:
    def again() -> dict[str, Any]:
        return running.run_inside(make_document(call(again)), {}, base=Path())

    found = run_document(call(again))
    assert found.error is not None
    assert found.error.endswith("workflow test lies 32 workflows deep; does it contain itself?")


def test_inputs_are_checked_before_anything_runs(run_document: Run) -> None:
    with pytest.raises(DocumentError, match=r"inputs\.who: is missing"):
        run_document(say(), inputs={"who": {"type": "string"}})


def test_the_flow_has_no_instrumented_wrapper_where_nobody_looks(make_document: Make, types: Types, tmp_path: Path) -> None:
    document = make_document(say(a=1))
    assert type(compile_workflow(document, types=types).start_node) is NamespacedNodeWrapper
    trace = WorkflowTraceCollector(tmp_path, warn=pytest.fail)
    for looking in ({"record": True}, {"metrics_collector": MetricsCollector()}, {"trace_collector": trace}):
        outermost = compile_workflow(document, types=types, **looking).start_node
        assert type(outermost) is InstrumentedNodeWrapper
        assert type(outermost.inner_node) is NamespacedNodeWrapper
        assert type(outermost.inner_node.inner_node) is TemplateAwareNodeWrapper
        assert type(outermost.inner_node.inner_node.inner_node) is types["say"]
    asking = make_document(say(a="${run.tokens}"))
    assert type(compile_workflow(asking, types=types).start_node) is InstrumentedNodeWrapper


def test_the_run_can_name_its_own_usage_and_cost(run_document: Run) -> None:
    usage = {"model": "gpt-4o-mini", "input_tokens": 1_000_000, "output_tokens": 0}
    unknown = {"model": "nobody-knows-1", "input_tokens": 5, "output_tokens": 5}
    figures = say(cost="${run.cost_usd}", tokens="${run.tokens}", partial="${run.partial_cost_usd}", models="${run.unpriced_models}")
    found = run_document(figures, say(llm_usage=usage), figures, say(llm_usage=unknown), figures)
    assert found.shared["n0"] == {"cost": 0.0, "tokens": 0, "partial": 0.0, "models": []}
    assert found.shared["n2"] == {"cost": 0.15, "tokens": 1_000_000, "partial": 0.15, "models": []}
    assert found.shared["n4"] == {"cost": None, "tokens": 1_000_010, "partial": 0.15, "models": ["nobody-knows-1"]}


def test_an_interrupt_ends_the_run_and_keeps_what_is_known(make_document: Make, types: Types, tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    trace = WorkflowTraceCollector(tmp_path, "test", warn=pytest.fail)
    document = make_document(say(a=1), call(interrupted, retry={"attempts": 2}), say(b=1))
    with pytest.raises(RunInterrupted) as caught:
        run(document, {}, base=Path(), types=types, trace_collector=trace, record=False)
    found = caught.value.result
    assert (found.status, found.failed_node, list(found.shared)[2:]) == ("interrupted", "n1", ["__last__", "n0"])
    assert found.trace_path is not None


def test_pocketflow_runs_the_flow_as_a_node_of_its_own(make_document: Make, types: Types) -> None:
    """A compiled workflow is a flow like any other: it can be a node of a flow, whose parameters reach its nodes."""
    import pocketflow

    flow = compile_workflow(make_document(say(a=1)), types=types)
    outer = pocketflow.Flow(start=flow)
    outer.set_params({"b": 2})
    shared: dict[str, Any] = {"inputs": {}}
    flow.node_id = "flow"
    outer.run(shared)
    assert shared["n0"] == {"a": 1, "b": 2}


def test_a_result_that_has_no_utf_8_is_written_all_the_same() -> None:
    from clew.act.workflow.figures import RunOutput

    odd: Any = {"text": "a\ud83db", "bytes": b"\xff", "nan": float("nan")}
    found = RunOutput(
        **dict(MetricsCollector().summary([])),
        result=odd,
        is_error=True,
        error="no file \udcff",
    )
    assert found.model_dump(mode="json")["result"] == {"text": "a?b", "bytes": "<1 bytes>", "nan": "nan"}
    assert found.error == "no file ?"


def test_a_workflow_inside_a_try_that_was_given_up_runs_no_further_node(run_document: Run, make_document: Make) -> None:
    begun, gate, went_on = threading.Event(), threading.Event(), threading.Event()
    ran: list[str] = []

    def first() -> None:
        begun.set()
        gate.wait(30)
        ran.append("first")

    def inside() -> dict[str, Any]:
        try:
            return running.run_inside(make_document(call(first), call(lambda: ran.append("second"))), {}, base=Path())
        finally:
            went_on.set()

    found = run_document(call(inside, timeout_s=0.01))
    assert begun.wait(30)
    assert (found.status, found.failed_node) == ("error", "n0")
    gate.set()
    assert went_on.wait(30)
    assert ran == ["first"]


def test_an_inner_try_has_no_more_time_than_the_one_around_it(run_document: Run, make_document: Make) -> None:
    def inside() -> dict[str, Any]:
        return running.run_inside(make_document(call(running.remaining_s, timeout_s=3600)), {}, base=Path())

    assert run_document(call(inside, timeout_s=60)).result["result"] <= 60


def test_an_interrupt_stops_what_a_batch_has_started(make_document: Make, types: Types, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped, begun, gate = threading.Semaphore(0), threading.Barrier(3, timeout=30), threading.Event()

    def wait() -> None:
        with running.on_abandon(stopped.release):
            begun.wait()
            gate.wait(30)

    joined = threading.Thread.join

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name.startswith("clew-batch"):
            begun.wait()
            raise KeyboardInterrupt
        joined(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    document = make_document(batched(call(wait), [1, 2], parallel=2))
    with pytest.raises(RunInterrupted):
        run(document, {}, base=Path(), types=types, record=False)
    assert stopped.acquire(timeout=30)
    assert stopped.acquire(timeout=30)
    gate.set()


def test_items_of_a_batch_do_not_see_each_others_context(run_document: Run) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    found = run_document(batched(call(count), list(range(8)), parallel=2))
    assert [item["result"] for item in found.result["results"]] == [1] * 8
