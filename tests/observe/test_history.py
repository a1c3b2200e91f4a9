"""How long the nodes of a workflow took and what they cost before."""

from __future__ import annotations

from typing import Any

import pytest

from clew.observe.query.history import NodePast, history
from clew.observe.store.store import Store

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")
S = 1_000_000_000


def test_the_last_runs_tell_time_and_cost_of_each_node(store: Store, otlp: Any) -> None:
    def workflow(trace: int, number: int, name: str = "release", **fields: Any) -> dict[str, Any]:
        made: dict[str, Any] = otlp.span(number, trace, 0, {"clew.span.kind": "workflow", "gen_ai.workflow.name": name}, **fields)
        return made

    def node(trace: int, number: int, parent: int, name: str, seconds: int, **fields: Any) -> dict[str, Any]:
        start = otlp.START + number * S
        times = {"startTimeUnixNano": str(start), "endTimeUnixNano": str(start + seconds * S)}
        made: dict[str, Any] = otlp.span(number, trace, parent, {"clew.span.kind": "node"}, name=name, **times, **fields)
        return made

    def call(trace: int, number: int, parent: int, cost: float | None) -> dict[str, Any]:
        given = {"clew.span.kind": "llm", "gen_ai.request.model": "x-1", "gen_ai.usage.input_tokens": 1}
        made: dict[str, Any] = otlp.span(number, trace, parent, given if cost is None else {**given, "clew.cost.usd": cost})
        return made

    otlp.take(
        store,
        otlp.lines(
            otlp.traces(
                workflow(1, 10), node(1, 11, 10, "write", 1), call(1, 12, 11, 0.25),
                node(1, 13, 10, "test", 4), node(1, 14, 10, "test", 2),
            ),
            otlp.traces(
                workflow(2, 20),
                node(2, 21, 20, "write", 3), otlp.span(22, 2, 21, {"clew.span.kind": "tool"}), call(2, 23, 22, 0.5), call(2, 24, 21, 0.25),
                otlp.span(25, 2, 21, {"clew.span.kind": "workflow", "gen_ai.workflow.name": "inner"}), node(2, 26, 25, "write", 60),
            ),
            otlp.traces(workflow(3, 30, status={"code": 2}), node(3, 31, 30, "write", 2), call(3, 32, 31, None)),
            otlp.traces(workflow(4, 40, "other"), node(4, 41, 40, "write", 99)),
            otlp.traces(workflow(5, 50, endTimeUnixNano="0")),
        ),
    )  # fmt: skip
    found = history(store, "release")
    assert found is not None
    assert (found.runs, found.failed, found.last_start_ns, found.last_duration_ns) == (3, 1, otlp.START + 30 * S, S)
    assert found.nodes == {
        "write": NodePast("write", 3, 1.0, otlp.START + 31 * S, 2 * S, 2 * S, None, 0.5),
        "test": NodePast("test", 1, 0.5, otlp.START + 14 * S, 6 * S, 6 * S, 0.0, 0.0),
    }
    only = history(store, "release", limit=1)
    assert only is not None
    assert (only.runs, only.nodes["write"].median_cost_usd, only.nodes["write"].share) == (1, None, None)
    inner = history(store, "inner")
    assert inner is not None
    assert inner.nodes["write"].last_duration_ns == 60 * S
    assert history(store, "nobody") is None
