"""Traces of ten frameworks as Langfuse's API gives them, turned back into the OTLP that was sent."""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

from page import table, usd

from clew.observe.store.store import Store

WHY: dict[str, str] = {
    "beeai-2025-08-01": "no span has usage, so the cost is unknown; Langfuse guesses the prompts' tokens from their text, and no answer's",
    "microsoft-agent-2025-12-17": "Langfuse adds the agent's span, whose tokens it guesses from its text",
    "vercel-aisdk-2025-11-17": "Langfuse adds ai.generateText, whose tokens it guesses from its text; what that span says of usage are its child's tokens",
    "vertex-ai-2025-08-01": "Langfuse had a price of one dollar a million for this name; ours is the list price of gemini-2.5-flash. The span names a total of 2,023 tokens, "
    "of which it gives 1,173, the reasoning, in no class: they are in neither cost",
}
"""Trace -> why the sum that Langfuse recorded is another one than ours; a trace without a difference has no entry."""


def as_otlp(dump: Path) -> dict[str, Any]:
    """The trace as one request: raw attributes are in ``metadata.attributes``."""
    document = json.loads(dump.read_text())
    spans = []
    for observation in document["observations"]:
        attributes = _metadata(observation).get("attributes", {})
        start, end = (_nanoseconds(observation[name]) for name in ("startTime", "endTime"))
        spans.append(
            {
                "traceId": document["trace"]["id"],
                "spanId": observation["id"],
                "parentSpanId": observation["parentObservationId"] or "",
                "name": observation["name"],
                "kind": 1,
                "startTimeUnixNano": str(start),
                "endTimeUnixNano": str(end),
                "attributes": [
                    _attribute(key, value if isinstance(value, str) else json.dumps(value)) for key, value in attributes.items()
                ],
                "status": {},
            }
        )
    resource = {"attributes": [_attribute("service.name", "program")]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "test"}, "spans": spans}]}]}


def _metadata(observation: dict[str, Any]) -> dict[str, Any]:
    metadata = observation["metadata"] or {}
    return dict(json.loads(metadata) if isinstance(metadata, str) else metadata)


def _nanoseconds(text: str | None) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000) * 1_000_000 if text else 0


def _attribute(key: str, text: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": text}}


def recorded_cost(dump: Path) -> float:
    """What Langfuse recorded for all observations of the trace together, USD."""
    return sum(float(one["totalCost"] or 0) for one in json.loads(dump.read_text())["observations"])


def section(store: Store, dumps: list[Path]) -> str:
    """The tables; the traces must be in the store."""
    shapes, calls, sums = [], [], []
    for dump in dumps:
        name = dump.name.removesuffix(".trace.json")
        trace = {"id": json.loads(dump.read_text())["trace"]["id"]}
        kinds = store.pairs("SELECT kind, count() FROM spans WHERE trace_id = {id:String} GROUP BY kind ORDER BY kind", trace)
        [run] = store.rows("SELECT * FROM runs WHERE run_id = {id:String}", trace)
        tools = Counter(
            tool for (tool,) in store.query("SELECT tool FROM tool_calls WHERE trace_id = {id:String} ORDER BY tool", trace).result_rows
        )
        said = store.pairs(
            "SELECT direction, count() FROM messages WHERE trace_id = {id:String} GROUP BY direction ORDER BY direction", trace
        )
        shapes.append(
            (
                name,
                ", ".join(f"{count} {kind}" for kind, count in kinds.items()),
                ", ".join(run["agents"]),
                run["session_id"],
                ", ".join(f"{tool} × {count}" if count > 1 else tool for tool, count in tools.items()),
                ", ".join(f"{count} {direction}" for direction, count in said.items()),
            )
        )
        calls += [(name, *row) for row in _calls(store, trace)]
        sums.append(_sum(name, run, recorded_cost(dump)))
    return "\n".join(
        (
            "What the trace is made of: spans by kind, agents, session, tool calls, messages. Where a framework's messages are missing, Langfuse has moved them out of the",
            "attributes into fields of its own before it stored them, and the dump does not have them where the program put them.",
            "",
            table(("trace", "spans", "agents", "session", "tool calls", "messages"), shapes),
            "",
            "Its model calls:",
            "",
            table(
                ("trace", "model", "provider", "input", "output", "cache read", "cache write", "reasoning", "reported USD", "computed USD"),
                calls,
            ),
            "",
            "Their sum, beside the one that Langfuse recorded:",
            "",
            table(("trace", "input", "output", "USD", "recorded USD", "why they differ"), sums),
        )
    )


def _calls(store: Store, trace: dict[str, str]) -> list[tuple[Any, ...]]:
    found = store.query(
        """SELECT model, provider, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, reasoning_tokens, reported_cost_usd,
            computed_cost_usd FROM model_calls WHERE trace_id = {id:String} ORDER BY start_ns, span_id""",
        trace,
    ).result_rows
    return [(*row[:7], usd(row[7]), usd(row[8])) for row in found]


def _sum(name: str, run: dict[str, Any], recorded: float) -> tuple[Any, ...]:
    cost = run["cost_usd"]
    agrees = cost is not None and abs(cost - recorded) <= 2e-9  # Langfuse cuts its figures off
    why = WHY.get(name, "")
    if agrees == bool(why):
        raise SystemExit(
            f"{name}: ours {cost}, recorded {recorded}: {'they agree, and there is a reason' if agrees else 'the reason is missing in WHY'}"
        )
    return (name, run["input_tokens"], run["output_tokens"], usd(cost), usd(recorded), why)
