"""The structure of a run, without attributes, events and content, as columns: 50,000 spans are a few megabytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any

from clew.errors import NotFound
from clew.observe.query.run_calls import Calls
from clew.observe.query.runs import Run, places, with_calls, without_calls
from clew.observe.query.search import COSTS
from clew.observe.query.traces import resolve, resolve_span
from clew.observe.store.normalise import DURATION
from clew.observe.store.pricing import COST_SOURCE, COST_USD, MAY_COST, charged, computed_cost, usd_per_million
from clew.observe.store.store import Store

MOST_SPANS = 100_000


@dataclass(slots=True)
class SpanColumns:
    """Spans as columns of equal length, depth-first, children by start time."""

    span_id: list[str] = field(default_factory=list)
    parent: list[int] = field(default_factory=list)
    """Index of the parent; -1 for a root and for a span whose parent is not here."""
    depth: list[int] = field(default_factory=list)
    kind: list[str] = field(default_factory=list)
    name: list[str] = field(default_factory=list)
    status: list[str] = field(default_factory=list)
    state: list[str] = field(default_factory=list)
    status_message: list[str] = field(default_factory=list)
    offset_ns: list[int] = field(default_factory=list)
    """Start, counted from ``start_ns`` of the structure: small enough for a reader whose numbers are doubles."""
    duration_ns: list[int | None] = field(default_factory=list)
    agent: list[str] = field(default_factory=list)
    model: list[str] = field(default_factory=list)
    tool: list[str] = field(default_factory=list)
    is_model_call: list[bool] = field(default_factory=list)
    input_tokens: list[int | None] = field(default_factory=list)
    """Tokens and cost stand only on model calls."""
    output_tokens: list[int | None] = field(default_factory=list)
    cost_usd: list[float | None] = field(default_factory=list)
    cost_source: list[str] = field(default_factory=list)
    events: list[int] = field(default_factory=list)
    """How many events it has."""
    contents: list[int] = field(default_factory=list)
    """How many content attributes it has."""


@dataclass(frozen=True, slots=True)
class Structure:
    """A run and the shape of its trace."""

    run: Run
    start_ns: int
    """Start of the earliest span."""
    spans: SpanColumns
    orphans: int
    """Spans that name a parent which is not here; they stand under the first root."""
    more: bool
    """Whether there are more than ``limit`` spans: then the earliest are here."""


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """An event of a span."""

    time_ns: int
    name: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class SpanLink:
    """A link from a span to another, which may be of another run."""

    run_id: str
    span_id: str
    attributes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Content:
    """A content attribute of a span: what of it can be fetched."""

    key: str
    type: str
    bytes: int


@dataclass(frozen=True, slots=True)
class SpanDetail:
    """One span: everything but the text of its content."""

    run_id: str
    span_id: str
    parent_span_id: str
    kind: str
    name: str
    service: str
    status: str
    state: str
    status_message: str
    error_type: str
    start_ns: int
    duration_ns: int | None
    scope_name: str
    scope_version: str
    scope_attributes: dict[str, str]
    process: str
    sender: str
    attributes: dict[str, str]
    attribute_types: list[str]
    resource: dict[str, str]
    events: list[SpanEvent]
    links: list[SpanLink]
    contents: list[Content]


_STATE = "multiIf(end_ns > 0, 'ended', process IN (SELECT process FROM processes), 'lost', 'running')"
_OWN = (
    "span_id",
    "parent_span_id",
    "kind",
    "name",
    "status",
    "state",
    "status_message",
    "start_ns",
    "duration_ns",
    "model",
    "tool",
    "events",
    "contents",
)
SPANS = f"""SELECT {", ".join(f"x.{name} AS {name}" for name in _OWN)},
    multiIf(x.own_agent != '', x.own_agent, x.kind = 'agent', x.name, x.inherited) AS agent, x.is_call AS is_model_call,
    if(x.is_call, x.input_tokens, NULL) AS input_tokens, if(x.is_call, x.output_tokens, NULL) AS output_tokens,
    if(x.is_call, {COST_USD}, NULL) AS cost_usd, if(x.is_call, {COST_SOURCE}, '') AS cost_source
FROM (
    SELECT *, may_cost AND NOT shadowed AS is_call, {charged()} AS charged_tokens, {usd_per_million()} AS usd_per_million,
        {computed_cost()} AS computed_cost_usd
    FROM (
        SELECT span_id, parent_span_id, toString(kind) AS kind, name, toString(status) AS status, {_STATE} AS state, status_message, start_ns,
            {DURATION} AS duration_ns, toString(agent) AS own_agent,
            if(response_model != '', response_model, request_model) AS model, tool, length(event_times) AS events,
            length(mapKeys(contents)) AS contents, {MAY_COST} AS may_cost, {", ".join(COSTS)}
        FROM span_records FINAL WHERE trace_id = {{trace:String}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
        ORDER BY start_ns, span_id LIMIT {{ask:UInt64}}
    ) AS s
    LEFT ANY JOIN (
        SELECT span_id, argMax(toString(agent), settled_ns) AS inherited, argMax(shadowed, settled_ns) AS shadowed
        FROM settled WHERE trace_id = {{trace:String}} AND day IN {{days:Array(Date)}} GROUP BY span_id
    ) AS n USING (span_id)
    LEFT ANY JOIN (SELECT provider, request_model, response_model, flat, rules FROM prices FINAL) AS p
        USING (provider, request_model, response_model)
) AS x ORDER BY start_ns, span_id"""
"""What the view ``model_calls`` says of the calls stands beside the spans: to join the view takes the engine longer than to read a small run."""


def structure(store: Store, run_id: str, *, limit: int = MOST_SPANS) -> Structure:
    """The run with that (possibly shortened) id.

    :raises NotFound: no run has it
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    given = places(store, [trace_id])
    summary = store.readers.submit(without_calls, store, given)
    found = store.lists(SPANS, {"trace": trace_id, **given, "ask": limit + 1})
    more = len(found["span_id"]) > limit
    if more:
        found = {name: column[:limit] for name, column in found.items()}
    [row] = summary.result()
    [run] = with_calls(store, [row], None if more else {trace_id: _calls(found)})
    order, orphans = _depth_first(found["span_id"], found["parent_span_id"])
    return Structure(run, found["start_ns"][0], _columns(found, order), orphans, more)


def _calls(found: Mapping[str, Sequence[Any]]) -> Calls:
    calls = Calls()
    for is_call, model, *figures in zip(*(found[name] for name in ("is_model_call", "model", *_SPENT)), strict=True):
        if is_call:
            calls.add(model, *figures)
    return calls


_SPENT = ("input_tokens", "output_tokens", "cost_usd")

_Placed = tuple[int, int, int]
"""(row, place of the parent, depth)"""


def _columns(found: Mapping[str, Sequence[Any]], order: Sequence[_Placed]) -> SpanColumns:
    """Column by column, which takes a third of the time that row by row does."""
    start = found["start_ns"][0]
    rows, parents, depths = map(list, zip(*order, strict=True))
    ordered = itemgetter(*rows, rows[0])  # one more, so that it gives several even of one
    columns = SpanColumns()
    for name in SpanColumns.__slots__:
        if name in found:
            setattr(columns, name, list(ordered(found[name])[:-1]))
    columns.parent, columns.depth = parents, depths
    columns.offset_ns = [at - start for at in ordered(found["start_ns"])[:-1]]
    columns.is_model_call = list(map(bool, columns.is_model_call))
    return columns


def _depth_first(ids: Sequence[str], parents: Sequence[str]) -> tuple[list[_Placed], int]:
    """Rows, which are in the order of their starts, as a tree; what has no parent here comes under the first root. Cycles are cut."""
    rows = {span_id: number for number, span_id in enumerate(ids)}
    children: dict[int, list[int]] = {}
    roots, orphans = [], []
    for number, (span_id, parent_id) in enumerate(zip(ids, parents, strict=True)):
        if not parent_id or parent_id == span_id:
            roots.append(number)
        elif parent_id in rows:
            children.setdefault(rows[parent_id], []).append(number)
        else:
            orphans.append(number)
    order: list[_Placed] = []
    seen: set[int] = set()
    starts = [(number, -1, 0) for number in roots] + [(number, -1, 1 if roots else 0) for number in orphans]
    for start in (*starts, *((number, -1, 0) for number in range(len(ids)))):  # the last only reach what lies on a cycle
        stack = [start]
        while stack:
            number, parent, depth = stack.pop()
            if number in seen:
                continue
            seen.add(number)
            place = len(order)
            order.append((number, parent, depth))
            stack += [(child, place, depth + 1) for child in reversed(children.get(number, ()))]
    return order, len(orphans)


_DETAIL = """SELECT trace_id AS run_id, span_id, parent_span_id, kind, name, service, status, state, status_message, error_type, start_ns, duration_ns,
    scope_name, scope_version, scope_attributes, process, sender, attributes, attribute_types, resource, event_times, event_names, event_attributes,
    link_trace_ids, link_span_ids, link_attributes, contents, content_types
FROM spans WHERE trace_id = {trace:String} AND span_id = {span:String}"""
_SIZES = (
    """SELECT hash, any(length(value)) FROM payloads WHERE trace_id = {trace:String} AND hash IN {hashes:Array(UInt64)} GROUP BY hash"""
)


def span(store: Store, run_id: str, span_id: str) -> SpanDetail:
    """One span of a run (shortened ids allowed).

    :raises NotFound: no run, or no span of it, has that id
    :raises AmbiguousId: several have
    """
    trace_id = resolve(store, run_id)
    given = {"trace": trace_id, "span": resolve_span(store, trace_id, span_id)}
    rows = store.rows(_DETAIL, given)
    if not rows:
        raise NotFound(f"span {given['span']} has been deleted")
    row = rows[0]
    hashes: dict[str, int] = row.pop("contents")
    sizes = store.pairs(_SIZES, {"trace": trace_id, "hashes": sorted(set(hashes.values()))}) if hashes else {}
    types = row.pop("content_types")
    events = zip(row.pop("event_times"), row.pop("event_names"), row.pop("event_attributes"), strict=True)
    links = zip(row.pop("link_trace_ids"), row.pop("link_span_ids"), row.pop("link_attributes"), strict=True)
    return SpanDetail(
        **row,
        events=[SpanEvent(*event) for event in events],
        links=[SpanLink(*link) for link in links],
        contents=[Content(key, kind, sizes.get(hash_, 0)) for (key, hash_), kind in zip(hashes.items(), types, strict=True)],
    )
