"""The examples of docs/sql.md run as they stand, and find something."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from clew.observe.query.sql import sql
from clew.observe.store.store import Store
from clew.wire.check import stamp_json
from clew.wire.otlp import METRICS

PAGE = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")


def record(store: Store, otlp: Any) -> None:
    """One run that has something for every view."""
    chat = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.usage.input_tokens": 1000,
        "gen_ai.usage.output_tokens": 100,
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"Which way?"}]}]',
    }
    decision = {
        "clew.span.kind": "decision",
        "clew.decision.choice": "left",
        "clew.decision.reason": "it is shorter",
        "clew.decision.confidence": 0.8,
    }
    ids = {"traceId": otlp.trace_id(1), "spanId": otlp.span_id(3)}
    otlp.take(
        store,
        otlp.lines(
            otlp.traces(
                otlp.span(1, 1, 0, {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": "planner", "session.id": "s1"}),
                otlp.span(2, 1, 1, chat),
                otlp.span(
                    3, 1, 1, {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": "search", "http.response.status_code": 500}
                ),
                otlp.span(4, 1, 1, decision),
            ),
            otlp.logs(otlp.log("the labyrinth has moved", severityNumber=13, severityText="WARN", **ids)),
        ),
    )
    point = {"timeUnixNano": str(otlp.START), "asDouble": 4.5e7}
    metric = {"name": "process.memory.usage", "gauge": {"dataPoints": [point]}}
    measured = {"resourceMetrics": [{"resource": {"attributes": []}, "scopeMetrics": [{"scope": {"name": "test"}, "metrics": [metric]}]}]}
    store.insert(METRICS, "json", stamp_json(json.dumps(measured).encode(), otlp.START, "test"))


def test_every_example_runs_and_finds_something(store: Store, otlp: Any) -> None:
    record(store, otlp)
    examples = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    examples += re.findall(r"^clew sql (?:--json )?\"(.*)\"$", PAGE, re.MULTILINE)
    assert len(examples) >= 12
    empty = [example for example in examples if not sql(store, example).rows]
    assert empty == []
    assert all(row["cost_usd"] == 0.0035 for row in store.rows("SELECT cost_usd FROM runs"))


def test_the_limits_are_those_that_hold() -> None:
    from clew.observe.query.sql import MEMORY_BYTES

    assert {"max_rows": 100_000, "timeout_s": 60.0}.items() <= (sql.__kwdefaults__ or {}).items()
    assert f"{MEMORY_BYTES >> 30} GiB" in PAGE
    assert "100,000 rows" in PAGE
    assert "60 seconds" in PAGE
