"""What a run would do, and what is known of its time and cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from clew.act.workflow.document import Document, Node
from clew.act.workflow.plan import NodePast, plan

S = 1_000_000_000
NOW = 1_700_000_000 * S


@dataclass(frozen=True)
class Node_:
    last_duration_ns: int = S
    median_duration_ns: int = 2 * S
    last_cost_usd: float | None = 0.01
    median_cost_usd: float | None = 0.02
    share: float | None = 1.0
    last_start_ns: int = NOW - 60 * S


@dataclass(frozen=True)
class Past_:
    nodes: dict[str, NodePast] = field(default_factory=dict)
    runs: int = 4
    failed: int = 1
    last_start_ns: int = NOW - 60 * S
    last_duration_ns: int = 3 * S


def document(*nodes: dict[str, Any], edges: list[tuple[str, ...]] = [], name: str = "w") -> Document:  # noqa: B006 - never changed
    made = [{"id": node.pop("id"), "type": node.pop("type", "shell"), **node} for node in nodes]
    linked = [{"from": edge[0], "to": edge[1], "action": edge[2] if len(edge) > 2 else "default"} for edge in edges]
    return Document.model_validate({"name": name, "nodes": made, "edges": linked})


BRANCHED = document(
    {"id": "a"},
    {"id": "ask", "type": "llm"},
    {"id": "yes"},
    {"id": "no", "type": "write_file"},
    {"id": "clean"},
    edges=[("a", "ask"), ("ask", "yes", "yes"), ("ask", "no", "no"), ("a", "clean", "error"), ("yes", "a", "again")],
)


def test_a_plan_says_what_runs_what_may_and_what_only_after_an_error() -> None:
    found = plan(BRANCHED, lambda name: None, now_ns=NOW)
    assert [(step.node_id, step.status) for step in found.steps] == [
        ("a", "execute"),
        ("ask", "execute"),
        ("yes", "conditional"),
        ("no", "conditional"),
        ("clean", "on_error"),
    ]
    assert found.to_json()["summary"] == {
        "total": 5,
        "execute_count": 2,
        "conditional_count": 2,
        "on_error_count": 1,
        "execute_by_type": {"llm": 1, "shell": 2, "write_file": 1},
        "estimated_cost_usd": None,
        "partial_cost_usd": 0.0,
        "nodes_without_history": ["a", "ask", "yes"],
        "estimated_duration_ms": None,
        "partial_duration_ms": 0.0,
        "nodes_without_duration_history": ["a", "ask", "yes", "no"],
        "unknown_batches": [],
        "cost_basis": "no earlier run",
        "runs": 0,
        "failed_runs": 0,
        "last_run_age_sec": None,
        "last_run_duration_ms": None,
    }


def test_an_estimate_is_the_sum_of_medians_a_branch_by_how_often_it_was_taken() -> None:
    past = Past_({"a": Node_(), "ask": Node_(median_cost_usd=0.1), "yes": Node_(share=0.25), "no": Node_(share=0.75, median_cost_usd=0.0)})
    found = plan(BRANCHED, {"w": past}.get, now_ns=NOW)
    assert found.to_json()["plan"][0] == {
        "node_id": "a",
        "node_type": "shell",
        "status": "execute",
        "last_duration_ms": 1000.0,
        "last_run_age_sec": 60.0,
        "last_cost_usd": 0.01,
        "estimated_duration_ms": 2000.0,
        "estimated_cost_usd": 0.02,
        "batch": None,
        "is_batch": False,
        "sub_workflow": None,
    }
    assert found.summary.estimated_duration_ms == 2000 + 2000 + 500 + 1500
    assert found.summary.estimated_cost_usd == 0.02 + 0.1 + 0.005
    assert found.summary.cost_basis == "median of the last 4 runs, recorded model calls only"
    assert (found.summary.failed_runs, found.summary.last_run_duration_ms) == (1, 3000.0)


@pytest.mark.parametrize(
    ("past", "cost", "partial", "named"),
    [
        (Node_(median_cost_usd=None), None, 0.02, ["b"]),
        (None, None, 0.02, ["b"]),
        (Node_(median_cost_usd=0.0), 0.02, 0.02, []),
    ],
)
def test_what_is_not_known_makes_the_sum_unknown_and_is_named(
    past: Node_ | None, cost: float | None, partial: float, named: list[str]
) -> None:
    nodes: dict[str, NodePast] = {"a": Node_()}
    if past is not None:
        nodes["b"] = past
    summary = plan(document({"id": "a"}, {"id": "b"}, edges=[("a", "b")]), {"w": Past_(nodes)}.get, now_ns=NOW).summary
    assert (summary.estimated_cost_usd, summary.partial_cost_usd, summary.nodes_without_history) == (cost, partial, named)


def test_a_branch_is_unknown_while_no_run_ended_well() -> None:
    found = plan(BRANCHED, {"w": Past_({"yes": Node_(share=None)})}.get, now_ns=NOW)
    step = next(step for step in found.steps if step.node_id == "yes")
    assert (step.last_duration_ms, step.estimated_duration_ms, step.estimated_cost_usd) == (1000.0, None, None)


def test_batches_are_counted_or_named() -> None:
    found = plan(
        document(
            {"id": "a", "batch": {"items": [1, 2, 3]}},
            {"id": "b", "batch": {"items": "${a.results}"}},
            {"id": "c"},
            edges=[("a", "b"), ("b", "c")],
        ),
        lambda name: None,
        now_ns=NOW,
    )
    assert [(step.batch, step.is_batch) for step in found.steps] == [(3, True), (None, True), (None, False)]
    assert found.summary.unknown_batches == ["b"]


def test_a_sub_workflow_that_ran_on_its_own_is_estimated_by_that() -> None:
    child = document({"id": "x"}, name="child")
    outer = document({"id": "sub", "type": "workflow"}, {"id": "dynamic", "type": "workflow"}, edges=[("sub", "dynamic")])

    def load(node: Node) -> Document | None:
        return child if node.id == "sub" else None

    found = plan(outer, {"child": Past_({"x": Node_()})}.get, now_ns=NOW, load=load)
    assert [(step.sub_workflow, step.estimated_duration_ms, step.last_duration_ms) for step in found.steps] == [
        ("child", 2000.0, None),
        (None, None, None),
    ]
    assert found.summary.nodes_without_history == ["dynamic"]
    itself = plan(outer, lambda name: None, now_ns=NOW, load=lambda node: outer)
    assert itself.summary.estimated_duration_ms is None
