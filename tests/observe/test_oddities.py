"""What looks wrong in a run though nothing failed."""

from __future__ import annotations

from typing import Any

import pytest

from clew.observe.query.oddities import Blank, Oddities, Repeat, oddities
from clew.observe.store.store import Store

pytestmark = pytest.mark.needs("chdb", "clickhouse_connect")


def test_empty_results_and_repeated_tool_calls_are_found(store: Store, otlp: Any) -> None:
    def tool(number: int, arguments: str, result: str, **fields: Any) -> dict[str, Any]:
        given = {
            "clew.span.kind": "tool",
            "gen_ai.tool.name": "search",
            "gen_ai.tool.call.arguments": arguments,
            "gen_ai.tool.call.result": result,
        }
        made: dict[str, Any] = otlp.span(number, 1, 1, given, **fields)
        return made

    otlp.take(
        store,
        otlp.lines(
            otlp.traces(
                otlp.span(1, 1, 0, {"clew.span.kind": "agent", "clew.output": "done"}),
                tool(2, '{"q": "a"}', "null"),
                tool(3, '{"q": "a"}', " [] "),
                tool(4, '{"q": "a"}', "found"),
                tool(5, '{"q": "b"}', "found"),
                tool(6, '{"q": "c"}', "", status={"code": 2}),
                otlp.span(7, 1, 1, {"clew.span.kind": "node", "output.value": "None", "clew.output": "yes"}),
                otlp.span(8, 1, 1, {"clew.span.kind": "node", "output.value": "{}"}),
            ),
            otlp.traces(otlp.span(1, 2, 0, {"clew.output": "null"})),
        ),
    )
    found = oddities(store, otlp.trace_id(1))
    assert found == Oddities(
        [Blank(otlp.span_id(2), "null"), Blank(otlp.span_id(3), "[]"), Blank(otlp.span_id(8), "{}")],
        3,
        [Repeat("search", 3, otlp.span_id(2))],
        1,
    )
    first = oddities(store, otlp.trace_id(1), limit=1)
    assert (len(first.blanks), first.blank_spans) == (1, 3)


def test_a_run_without_oddities_has_none(store: Store, otlp: Any) -> None:
    otlp.take(store, otlp.lines(otlp.traces(otlp.span(1, 1, 0, {"clew.output": "done"}))))
    assert oddities(store, otlp.trace_id(1)) == Oddities()
