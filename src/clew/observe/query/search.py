"""Search over spans in the filter language (filter.py): the fields it knows, and where they are in the store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from clew.model.kinds import KINDS
from clew.observe.query.filter import parse
from clew.observe.query.filter_sql import AttributeKind, AttributeOperator, Condition, Field, compile
from clew.observe.store.store import Store

_MODEL = "if(response_model != '', response_model, request_model)"
_STATE = "multiIf(end_ns > 0, 'ended', process IN (SELECT process FROM processes), 'lost', 'running')"
_DURATION = "if(end_ns > 0, toInt64(greatest(end_ns, start_ns) - start_ns), NULL)"

_AGENTS = """(
    SELECT trace_id, span_id, toString(agent) AS agent FROM span_records WHERE agent != ''
    UNION ALL SELECT trace_id, span_id, toString(name) AS agent FROM span_records WHERE kind = 'agent' AND agent = ''
    UNION ALL SELECT trace_id, span_id, toString(agent) AS agent FROM settled FINAL WHERE agent != '')"""

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("kind", "toString(kind)", "enum", KINDS, help="Kind of span"),
        Field("name", "name", "text", help="Name of the span"),
        Field("status", "toString(status)", "enum", ("ok", "error", "unset"), help="How it ended"),
        Field("state", f"({_STATE})", "enum", ("ended", "running", "lost"), help="Whether it has ended; lost when its process died before"),
        Field("service", "service", "text", help="Program that recorded it"),
        Field("agent", "agent", "text", help="Agent it belongs to: its own name, or the nearest agent above", table=_AGENTS),
        Field("model", f"({_MODEL})", "text", help="Model that answered, or was asked"),
        Field("provider", "provider", "text", help="Provider of the model"),
        Field("tool", "tool", "text", help="Tool"),
        Field("workflow", "workflow", "text", help="Workflow"),
        Field("persona", "persona", "text", help="Persona"),
        Field("session", "session_id", "text", help="Session, where the span itself names it"),
        Field("user", "user_id", "text", help="End user"),
        Field("error", "error_type", "text", help="Class of the error, such as an exception's type, rate_limit or timeout"),
        Field("message", "status_message", "text", help="Message of the error"),
        Field("run", "trace_id", "text", help="Run; a shortened id ends in *"),
        Field("span", "span_id", "text", help="Span id"),
        Field("parent", "parent_span_id", "text", help="Id of the parent span"),
        Field("scope", "scope_name", "text", help="Instrumentation that made it"),
        Field("start", "toInt64(start_ns)", "time", help="When it started"),
        Field("duration", f"({_DURATION})", "duration_ns", help="How long it took"),
        Field("cost", "cost_usd", "usd", help="Cost in USD of a model call", table="model_calls"),
        Field(
            "tokens",
            "(toFloat64(input_tokens) + output_tokens)",
            "number",
            help="Input and output tokens of a model call",
            table="model_calls",
        ),
        Field("input_tokens", "toFloat64(input_tokens)", "number", help="Input tokens of a model call", table="model_calls"),
        Field("output_tokens", "toFloat64(output_tokens)", "number", help="Output tokens of a model call", table="model_calls"),
        Field("cache_read_tokens", "toFloat64(cache_read_tokens)", "number", help="Input tokens read from the provider's cache"),
        Field("reasoning_tokens", "toFloat64(reasoning_tokens)", "number", help="Output tokens spent on reasoning"),
    )
}


_MAY_COST = "span_records.kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)"


@dataclass(frozen=True, slots=True)
class Hit:
    """One span that was found. Tokens and cost stand only on model calls."""

    run_id: str
    span_id: str
    kind: str
    name: str
    service: str
    agent: str
    model: str
    tool: str
    status: str
    state: str
    status_message: str
    start_ns: int
    duration_ns: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None


@dataclass(frozen=True, slots=True)
class Hits:
    """The newest spans that match."""

    hits: list[Hit]
    """Newest first."""
    more: bool
    """Whether the list was cut at the limit."""


def search(store: Store, text: str, *, limit: int = 50) -> Hits:
    """The newest ``limit`` spans that match the filter; an empty filter matches every span.

    :raises FilterError: the filter does not parse; points at the character
    """
    condition = condition_of(text)
    ask = limit + 1
    while True:
        # Without FINAL the indexes answer, and versions that a merge will replace are found as well: those are left out below.
        candidates = store.query(
            f"SELECT trace_id, span_id, version, {_MAY_COST} FROM span_records WHERE {condition.sql} ORDER BY start_ns DESC LIMIT {{ask:UInt64}}",
            {**condition.parameters, "ask": ask},
        ).result_rows
        hits = _current(store, candidates)
        if len(hits) > limit or len(candidates) < ask:
            return Hits(hits[:limit], len(hits) > limit)
        ask *= 4


def _current(store: Store, candidates: Sequence[Sequence[Any]]) -> list[Hit]:
    """The candidates (trace id, span id, version, whether it may cost) that are the present version of their span, in full."""
    if not candidates:
        return []
    found = {(trace_id, span_id): (version, may_cost) for trace_id, span_id, version, may_cost in sorted(map(tuple, candidates))}
    calls = [key for key, (_, may_cost) in found.items() if may_cost]
    # Beside the other: planning the view takes longer than reading.
    priced = store.readers.submit(store.rows, _CALLS, _ids(calls)) if calls else None
    rows = store.rows(_HITS, _ids(found))
    figures = {(row.pop("trace_id"), row.pop("span_id")): row for row in (priced.result() if priced else ())}
    present = [(row, key) for row in rows if (key := (row["run_id"], row["span_id"])) in found and found[key][0] == row["version"]]
    return [_hit(row | figures.get(key, _NO_CALL)) for row, key in present]


def _ids(keys: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    traces, spans = zip(*keys, strict=True)
    return {"traces": sorted(set(traces)), "spans": sorted(set(spans))}


def condition_of(text: str, *, now: datetime | None = None) -> Condition:
    """The filter as SQL over ``span_records``.

    :raises FilterError: it does not parse
    """
    return compile(parse(text), FIELDS, now=now or datetime.now(UTC), text=_text, attribute=_attribute)


def _text(placeholder: str, is_phrase: bool) -> str:
    """Content by the full-text index; names and error messages, of which there are few different ones, by looking."""
    words = f"hasAllTokens(if(indexed, value, ''), {placeholder})"
    if is_phrase:
        words += f" AND positionCaseInsensitiveUTF8(value, {placeholder}) > 0"
    seen = f"positionCaseInsensitiveUTF8(name, {placeholder}) > 0 OR positionCaseInsensitiveUTF8(status_message, {placeholder}) > 0"
    # The traces first, from both, so that the primary key leaves out the rest.
    return f"""(trace_id IN (SELECT trace_id FROM payloads WHERE {words} UNION ALL SELECT trace_id FROM span_records WHERE {seen})
        AND (arrayExists(h -> h IN (SELECT hash FROM payloads WHERE {words}), mapValues(contents)) OR {seen}))"""


_PAIRS = "arrayMap((k, v) -> concat(k, '=', v), mapKeys(attributes), mapValues(attributes))"
"""As the index on span_records has it."""


def _attribute(key: str, operator: AttributeOperator, value: str | None, kind: AttributeKind | None) -> str:
    """Equality is asked of the index, where each attribute stands as key=value; a number's text is the same whatever its type."""
    held = f"attributes[{key}]"
    if operator == "present":
        return f"(mapContains(attributes, {key}) OR mapContains(contents, {key}))"
    if operator == "=":
        text = {"text": value, "number": f"toString({value})", "bool": f"if({value}, 'true', 'false')"}[kind or "text"]
        return f"has({_PAIRS}, concat({key}, '=', {text}))"
    if operator == "like":
        return f"(mapContains(attributes, {key}) AND {held} LIKE {value})"
    return f"toFloat64OrNull({held}) {operator} {value}"


_HITS = f"""SELECT
    trace_id AS run_id, span_id, toString(kind) AS kind, name, service,
    multiIf(agent != '', agent, found.kind = 'agent', name, inherited_agent) AS agent,
    {_MODEL} AS model, tool, toString(status) AS status, {_STATE} AS state, status_message, start_ns, {_DURATION} AS duration_ns, version
FROM (SELECT * FROM span_records FINAL WHERE trace_id IN {{traces:Array(String)}} AND span_id IN {{spans:Array(String)}}) AS found
LEFT JOIN (
    SELECT trace_id, span_id, agent AS inherited_agent FROM settled FINAL
    WHERE trace_id IN {{traces:Array(String)}} AND span_id IN {{spans:Array(String)}}
) AS settled USING (trace_id, span_id)
ORDER BY start_ns DESC, span_id
SETTINGS prefer_column_name_to_alias = 1"""
"""Rows of Hit without what they cost, with their version, of some spans of some traces."""

_CALLS = """SELECT trace_id, span_id, input_tokens, output_tokens, cost_usd FROM model_calls
WHERE trace_id IN {traces:Array(String)} AND span_id IN {spans:Array(String)}"""
_NO_CALL: dict[str, Any] = {"input_tokens": None, "output_tokens": None, "cost_usd": None}


def _hit(row: dict[str, Any]) -> Hit:
    return Hit(**{field.name: row[field.name] for field in fields(Hit)})
