"""Counts of values in a list: of all that matches, and said where not all of it was counted."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect", "lark")

AGENT = {"clew.span.kind": "agent", "gen_ai.agent.name": "planner"}
TOOL = {"clew.span.kind": "tool", "gen_ai.tool.name": "search"}
CALL = {"clew.span.kind": "llm", "gen_ai.request.model": "gpt-4o"}


def counts(store: Any, of: str, text: str = "", **more: Any) -> dict[str, Any]:
    from typing import cast

    from clew.observe.query import facets

    found = facets.facets(store, text, of=cast(facets.Of, of), **more)
    return {facet.field: {one.value: one.count for one in facet.values} for facet in found.facets if facet.values} | {
        "counted": found.counted,
        "more": found.more,
    }


@pytest.fixture
def filled(store: Any, otlp: Any) -> Any:
    """Three runs: an agent with two tool calls, of which one failed, and a call of a model."""
    failed = {"status": {"code": 2, "message": "no"}}
    spans = [
        span
        for run in (1, 2, 3)
        for span in (
            otlp.span(1, run, attributes=AGENT | {"session.id": f"s{run % 2}", "user.id": "ada"}),
            otlp.span(2, run, 1, attributes=TOOL),
            otlp.span(3, run, 1, attributes=TOOL | {"error.type": "ToolError"}, **failed),
            otlp.span(4, run, 1, attributes=CALL),
        )
    ]
    otlp.take(store, otlp.lines(otlp.traces(*spans), otlp.logs(otlp.log("said", severityNumber=9), otlp.log("bad", severityNumber=17))))
    from clew.observe.store import settle

    settle.settle(store)
    return store


SPANS = {
    "kind": {"tool": 6, "agent": 3, "llm": 3},
    "status": {"unset": 9, "error": 3},
    "agent": {"planner": 12},
    "tool": {"search": 6},
    "model": {"gpt-4o": 3},
    "error": {"ToolError": 3},
    "service": {"program": 12},
}


def test_values_of_spans_are_counted_in_all_that_matches(filled: Any) -> None:
    assert counts(filled, "spans") == SPANS | {"counted": 12, "more": False}
    assert counts(filled, "spans", "kind:tool status:error") == {
        "kind": {"tool": 3},
        "status": {"error": 3},
        "agent": {"planner": 3},
        "tool": {"search": 3},
        "error": {"ToolError": 3},
        "service": {"program": 3},
        "counted": 3,
        "more": False,
    }
    assert counts(filled, "spans", "kind:tool @nothing:1") == {"counted": 0, "more": False}
    assert counts(filled, "spans", values=1)["kind"] == {"tool": 6}


def test_rollups_give_the_same_counts(filled: Any) -> None:
    from clew.observe.store import rollups

    filled.roll_from = 1
    assert rollups.roll(filled)  # whole hours wait until nothing happens in them
    assert rollups.exist(filled)
    assert counts(filled, "spans") == SPANS | {"counted": 12, "more": False}
    assert counts(filled, "spans", "agent:planner kind:llm")["model"] == {"gpt-4o": 3}


def test_runs_sessions_logs_and_errors_have_facets_of_their_own(filled: Any) -> None:
    assert counts(filled, "runs") == {
        "status": {"error": 3},
        "state": {"ended": 3},
        "agent": {"planner": 3},
        "model": {"gpt-4o": 3},
        "name": {"span 1": 3},
        "service": {"program": 3},
        "counted": 3,
        "more": False,
    }
    assert counts(filled, "sessions") == {
        "user": {"ada": 2},
        "agent": {"planner": 2},
        "model": {"gpt-4o": 2},
        "counted": 2,
        "more": False,
    }
    assert counts(filled, "sessions", "runs:>1")["counted"] == 1
    assert counts(filled, "logs") == {"level": {"error": 1, "info": 1}, "service": {"program": 2}, "counted": 2, "more": False}
    assert counts(filled, "errors") == {
        "kind": {"tool": 3},
        "error": {"ToolError": 3},
        "agent": {"planner": 3},
        "tool": {"search": 3},
        "service": {"program": 3},
        "counted": 3,
        "more": False,
    }


def test_what_was_not_counted_is_said(filled: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from clew.observe.query import facets, run_summary, sessions

    monkeypatch.setattr(facets, "HITS", 5)
    monkeypatch.setattr(run_summary, "LOOKED_AT", 2)
    monkeypatch.setattr(sessions, "LOOKED_AT", 1)
    for of, counted in (("spans", 5), ("runs", 2), ("sessions", 1)):
        found = counts(filled, of)
        assert (found["counted"], found["more"]) == (counted, True)
    assert sum(counts(filled, "spans")["kind"].values()) == 5
