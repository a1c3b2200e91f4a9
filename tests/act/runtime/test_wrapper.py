"""The wrappers stand for their node: they delegate, copy it, and share the collectors."""

from __future__ import annotations

import copy
import pickle
import threading
from typing import Any

import pocketflow
import pytest

from clew.act.workflow.instrumented import InstrumentedNodeWrapper
from clew.act.workflow.metrics import MetricsCollector
from clew.act.workflow.namespaced import NamespacedNodeWrapper
from clew.act.workflow.templated import TemplateAwareNodeWrapper
from clew.act.workflow.wrapper import NodeWrapper


class Plain(pocketflow.Node):  # type: ignore[misc]
    """A node as pocketflow has them."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def exec(self, prep_res: Any) -> Any:
        return self.params

    def post(self, shared: dict[str, Any], prep_res: Any, exec_res: Any) -> str:
        shared["params"] = exec_res
        return "done"


class Collector(MetricsCollector):
    """One that cannot be copied, as one that holds a lock or a file."""

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


def wrapped() -> tuple[InstrumentedNodeWrapper, Plain, Collector]:
    node, metrics = Plain(), Collector()
    chain = NamespacedNodeWrapper(TemplateAwareNodeWrapper(node, {"text": "${inputs.who}"}), "a")
    return InstrumentedNodeWrapper(chain, "a", metrics), node, metrics


def innermost(wrapper: Any) -> Any:
    while isinstance(wrapper, NodeWrapper):
        wrapper = wrapper.inner_node
    return wrapper


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_a_copy_has_a_node_of_its_own_and_the_same_collectors(make: Any) -> None:
    wrapper, node, metrics = wrapped()
    other = make(wrapper)
    assert innermost(other) is not node
    assert isinstance(innermost(other), Plain)
    assert other.inner_node is not wrapper.inner_node
    assert other.metrics_collector is metrics
    assert (innermost(other).seen is node.seen) is (make is copy.copy)


def test_parameters_reach_the_node_over_those_of_the_document() -> None:
    wrapper, _, _ = wrapped()
    shared: dict[str, Any] = {"inputs": {"who": "you"}}
    wrapper.set_params({"more": 1})
    assert wrapper._run(shared) == "done"
    assert shared["a"] == {"params": {"text": "you", "more": 1}}
    wrapper.set_params({})
    wrapper._run(shared)
    assert shared["a"] == {"params": {"text": "you"}}


def test_transitions_are_the_nodes() -> None:
    first, node, _ = wrapped()
    second, other, _ = wrapped()
    third, _, _ = wrapped()
    assert first >> second is second
    first - "error" >> third
    assert node.successors == {"default": second, "error": third}
    assert first.successors is node.successors
    assert other.successors == {}
    with pytest.raises(TypeError, match="Action must be a string"):
        first - 3  # type: ignore[operator]


def test_what_the_wrapper_does_not_know_is_the_nodes() -> None:
    wrapper, node, _ = wrapped()
    assert wrapper.seen is node.seen
    assert wrapper.max_retries == 1
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = wrapper.no_such_thing


def test_pickling_asks_the_wrapper_and_not_the_node() -> None:
    empty = object.__new__(NodeWrapper)
    for name in ("__setstate__", "__getstate_hook__", "__reduce_what__", "inner_node"):
        with pytest.raises(AttributeError, match=name):
            getattr(empty, name)
    wrapper = NodeWrapper(TemplateAwareNodeWrapper(pocketflow.Node(), {"a": 1}))
    again = pickle.loads(pickle.dumps(wrapper))
    assert again.inner_node.own == {"a": 1}


def test_a_wrapped_node_runs_in_a_flow_of_pocketflow() -> None:
    first, _, metrics = wrapped()
    second, _, _ = wrapped()
    first - "done" >> second
    shared: dict[str, Any] = {"inputs": {"who": "you"}}
    pocketflow.Flow(start=first).run(shared)
    assert metrics.get_summary([])["metrics"]["workflow"]["nodes_executed"] == 1
    assert shared["a"] == {"params": {"text": "you"}}
