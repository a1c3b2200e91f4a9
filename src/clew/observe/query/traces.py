"""One run in full: structure first, content on demand."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from clew.errors import AmbiguousId, NotFound
from clew.observe.query.runs import Run, runs_of
from clew.observe.store.normalise import NEWEST_FIRST
from clew.observe.store.store import Store


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened within a span."""

    time_ns: int
    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Span:
    """One span of a trace without its content. Tokens and cost stand only on model calls (leaf usage)."""

    span_id: str
    parent_span_id: str
    depth: int
    """Distance from the root, in the order of ``Trace.spans``: depth-first, children by start time."""
    kind: str
    name: str
    status: str
    state: str
    status_message: str
    start_ns: int
    duration_ns: int | None
    agent: str
    model: str
    tool: str
    is_model_call: bool
    input_tokens: int | None
    output_tokens: int | None
    cache_read_tokens: int | None
    reasoning_tokens: int | None
    cost_usd: float | None
    cost_source: str
    """``reported``, ``computed``, ``cached`` (local cache, costs 0), ``unpriced`` or ``missing`` (no usage); '' when not a model call."""
    events: list[Event]
    attributes: dict[str, str]
    content_keys: list[str]


@dataclass(frozen=True, slots=True)
class Trace:
    """A run and its spans."""

    run: Run
    spans: list[Span]
    orphans: int
    """Spans that name a parent which is not in the store; they are shown under the root."""


def resolve(store: Store, run_id: str) -> str:
    """The whole id for a run id that may be shortened; ``last`` is the newest run.

    :raises NotFound: no run starts with it
    :raises AmbiguousId: several do; the message names them
    """
    if run_id == "last":
        rows = store.query(f"SELECT trace_id FROM span_records ORDER BY {NEWEST_FIRST} LIMIT 1").result_rows
        if not rows:
            raise NotFound("there is no run yet; record a program, or import a file with: clew import FILE")
        return str(rows[0][0])
    return _resolve(store, "traces", "trace_id", run_id, "run", "clew runs", "")


def resolve_span(store: Store, trace_id: str, span_id: str) -> str:
    """The whole id for a span id of a run, which may be shortened.

    :param trace_id: the run's whole id
    :raises NotFound: no span of the run starts with it
    :raises AmbiguousId: several do; the message names them
    """
    return _resolve(store, "span_records", "span_id", span_id, "span", f"clew show {trace_id[:8]}", trace_id)


def _resolve(store: Store, table: str, column: str, short: str, noun: str, listing: str, trace_id: str) -> str:
    lower = short.lower()
    if not lower:
        raise NotFound(f"an empty id names no {noun}; list them with: {listing}")
    where = f"{column} >= {{low:String}} AND {column} < {{high:String}}" + (" AND trace_id = {trace:String}" if trace_id else "")
    found = [
        str(row[0])
        for row in store.query(
            f"SELECT DISTINCT {column} FROM {table} WHERE {where} ORDER BY {column} LIMIT 6",
            {"low": lower, "high": lower + "\U0010ffff", "trace": trace_id},
        ).result_rows
    ]
    if not found:
        raise NotFound(f"no {noun} has an id that starts with {short!r}; list them with: {listing}")
    if len(found) > 1 and lower not in found:
        more = ", …" if len(found) > 5 else ""
        raise AmbiguousId(f"{short!r} fits several {noun}s: {', '.join(found[:5])}{more}; give more of the id")
    return lower if lower in found else found[0]


_SPANS = """SELECT
    s.span_id AS span_id, s.parent_span_id AS parent_span_id, s.kind AS kind, s.name AS name, s.status AS status, s.state AS state,
    s.status_message AS status_message, s.start_ns AS start_ns, s.duration_ns AS duration_ns,
    multiIf(s.agent != '', s.agent, s.kind = 'agent', s.name, n.agent) AS agent,
    s.model AS model, s.tool AS tool, s.event_times AS event_times, s.event_names AS event_names, s.event_attributes AS event_attributes,
    s.attributes AS attributes, mapKeys(s.contents) AS content_keys
FROM (SELECT * FROM spans WHERE trace_id = {id:String}) AS s
LEFT JOIN (SELECT span_id, agent FROM settled FINAL WHERE trace_id = {id:String}) AS n ON s.span_id = n.span_id"""
_CALLS = """SELECT span_id, input_tokens, output_tokens, cache_read_tokens, reasoning_tokens, cost_usd, cost_source
FROM model_calls WHERE trace_id = {id:String}"""


def trace(store: Store, run_id: str) -> Trace:
    """The run with that (possibly shortened) id.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    whole = {"id": resolve(store, run_id)}
    summary = store.readers.submit(runs_of, store, [whole["id"]])
    figures = store.readers.submit(store.rows, _CALLS, whole)
    rows = store.rows(_SPANS, whole)
    calls = {row.pop("span_id"): row for row in figures.result()}
    ordered, orphans = _depth_first([_span(row, calls.get(row["span_id"])) for row in rows])
    [run] = summary.result()
    return Trace(run, ordered, orphans)


_NO_CALL: dict[str, Any] = {
    "input_tokens": None,
    "output_tokens": None,
    "cache_read_tokens": None,
    "reasoning_tokens": None,
    "cost_usd": None,
    "cost_source": "",
}


def _span(row: dict[str, Any], call: dict[str, Any] | None) -> Span:
    times, names, attributes = row.pop("event_times"), row.pop("event_names"), row.pop("event_attributes")
    events = [Event(*event) for event in zip(times, names, attributes, strict=True)]
    return Span(depth=0, events=events, is_model_call=call is not None, **(call or _NO_CALL), **row)


def _depth_first(spans: list[Span]) -> tuple[list[Span], int]:
    """Parents before children, children by start time; what has no parent here comes under the first root. Cycles are cut."""
    known = {span.span_id for span in spans}
    children: dict[str, list[Span]] = {}
    roots: list[Span] = []
    orphans: list[Span] = []
    for span in sorted(spans, key=lambda s: (s.start_ns, s.span_id)):
        if not span.parent_span_id or span.parent_span_id == span.span_id:
            roots.append(span)
        elif span.parent_span_id in known:
            children.setdefault(span.parent_span_id, []).append(span)
        else:
            orphans.append(span)
    ordered: list[Span] = []
    seen: set[str] = set()

    def walk(start: Span, depth: int) -> None:
        stack = [(start, depth)]
        while stack:
            span, level = stack.pop()
            if span.span_id in seen:
                continue
            seen.add(span.span_id)
            ordered.append(replace(span, depth=level))
            stack += [(child, level + 1) for child in reversed(children.get(span.span_id, ()))]

    for root in roots:
        walk(root, 0)
    for orphan in orphans:
        walk(orphan, 1 if roots else 0)
    for span in spans:  # only what lies on a cycle is left
        walk(span, 0)
    return ordered, len(orphans)


def contents(store: Store, run_id: str, span_id: str) -> dict[str, str]:
    """Content of one span (shortened ids allowed): attribute name -> text, byte for byte as it was sent."""
    trace_id = resolve(store, run_id)
    whole = resolve_span(store, trace_id, span_id)
    refs: dict[str, int] = store.rows(
        "SELECT contents FROM span_records FINAL WHERE trace_id = {trace:String} AND span_id = {span:String}",
        {"trace": trace_id, "span": whole},
    )[0]["contents"]
    values = store.pairs(
        "SELECT hash, any(value) FROM payloads WHERE trace_id = {trace:String} AND hash IN {hashes:Array(UInt64)} GROUP BY hash",
        {"trace": trace_id, "hashes": sorted(set(refs.values()))},
    )
    return {key: values[hash_] for key, hash_ in refs.items() if hash_ in values}


_READERS: dict[str, Any] = {"int": int, "double": float, "bool": lambda text: text == "true", "json": json.loads, "string": str}


def span_attributes(store: Store, run_id: str, span_id: str) -> dict[str, Any]:
    """Every attribute of one span with its type, content included."""
    trace_id = resolve(store, run_id)
    whole = resolve_span(store, trace_id, span_id)
    row = store.rows(
        "SELECT attributes, attribute_types, contents, content_types FROM spans WHERE trace_id = {trace:String} AND span_id = {span:String}",
        {"trace": trace_id, "span": whole},
    )[0]
    texts = contents(store, trace_id, whole)
    pairs = [(key, text, kind) for (key, text), kind in zip(row["attributes"].items(), row["attribute_types"], strict=True)]
    pairs += [(key, texts.get(key, ""), kind) for key, kind in zip(row["contents"], row["content_types"], strict=True)]
    return {key: typed(text, kind) for key, text, kind in pairs}


def typed(text: str, kind: str) -> Any:
    try:
        return _READERS[kind](text)
    except (ValueError, RecursionError):  # JSON nested deeper than Python reads stays text
        return text
