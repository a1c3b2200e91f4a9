"""Whole traces with everything that OpenTelemetry has of a span, and the search for them by tags: for readers of classic traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat, zip_longest
from typing import Any

from clew.observe.query.traces import typed
from clew.observe.query.window import SPANS_WITHIN, Window
from clew.observe.store.normalise import NEWEST_FIRST
from clew.observe.store.store import Store

MOST_SPANS = 100_000
"""Spans of one answer; of a longer trace the earliest."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Traces with a span that fulfils everything; a tag may stand on the span itself or on any of its parts."""

    service: str
    """'' for any."""
    within: Window
    operation: str = ""
    tags: Mapping[str, str] | None = None
    """Key to text: a number or a truth value is its text. Matches span, content, resource, event, scope and link attributes."""
    min_ns: int | None = None
    max_ns: int | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class ClassicSpan:
    """One span."""

    trace_id: str
    span_id: str
    parent_span_id: str
    name: str
    service: str
    otel_kind: int
    start_ns: int
    duration_ns: int
    """0 while it has not ended."""
    ended: bool
    status: str
    status_message: str
    trace_state: str
    scope_name: str
    scope_version: str
    attributes: dict[str, Any]
    """Content included, each with its type; lists and maps are JSON text."""
    scope_attributes: dict[str, Any]
    resource: dict[str, Any]
    events: list[tuple[int, str, dict[str, Any]]]
    links: list[tuple[str, str, dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Summary:
    """One trace in short."""

    trace_id: str
    service: str
    """Of the root, or of the earliest span where the root is not here."""
    name: str
    first_ns: int
    last_ns: int
    """When its last span ended."""
    spans: int
    errors: int
    orphans: int
    """Spans whose parent is not here."""
    services: dict[str, tuple[int, int]]
    """Service -> its spans, and those among them that failed."""


_DURATION = "if(end_ns > 0, greatest(end_ns, start_ns) - start_ns, 0)"
_SPECIAL = {
    "error": "if(status = 'error', 'true', 'false')",
    "otel.status_code": "transform(toString(status), ['ok', 'error'], ['OK', 'ERROR'], '')",
    "otel.status_description": "status_message",
    "otel.scope.name": "scope_name",
    "otel.library.name": "scope_name",
    "otel.scope.version": "scope_version",
    "otel.library.version": "scope_version",
    "span.kind": "transform(otel_kind, [1, 2, 3, 4, 5], ['internal', 'server', 'client', 'producer', 'consumer'], '')",
    "w3c.tracestate": "trace_state",
}
"""Tags that are no attributes, as the columns they come from."""


def find(store: Store, wanted: Wanted) -> list[str]:
    """Ids of the newest traces, by the start of the span that matches; at most ``limit``."""
    conditions = [SPANS_WITHIN]
    given: dict[str, Any] = {**wanted.within.parameters, "most": wanted.limit}
    for column, value in (("service", wanted.service), ("name", wanted.operation)):
        if value:
            conditions.append(f"{column} = {{{column}:String}}")
            given[column] = value
    for bound, sign in ((wanted.min_ns, ">="), (wanted.max_ns, "<=")):
        if bound is not None:
            name = "at_least" if sign == ">=" else "at_most"
            conditions.append(f"{_DURATION} {sign} {{{name}:UInt64}}")
            given[name] = bound
    for number, (key, text) in enumerate((wanted.tags or {}).items()):
        conditions.append(_tag(key, f"{{key{number}:String}}", f"{{text{number}:String}}"))
        given |= {f"key{number}": key, f"text{number}": text}
    rows = store.query(
        f"SELECT trace_id FROM span_records FINAL WHERE {' AND '.join(conditions)} ORDER BY {NEWEST_FIRST} LIMIT 1 BY trace_id "
        "LIMIT {most:UInt64}",
        given,
    )
    return [trace_id for (trace_id,) in rows.result_rows]


def _tag(name: str, key: str, text: str) -> str:
    held = [
        f"(attributes[{key}] = {text} AND mapContains(attributes, {key}))",
        f"(resource[{key}] = {text} AND mapContains(resource, {key}))",
        f"(scope_attributes[{key}] = {text} AND mapContains(scope_attributes, {key}))",
        f"arrayExists(m -> mapContains(m, {key}) AND m[{key}] = {text}, event_attributes)",
        f"arrayExists(m -> mapContains(m, {key}) AND m[{key}] = {text}, link_attributes)",
        f"(mapContains(contents, {key}) AND contents[{key}] = xxh3({text}))",
    ]
    if name == "event":
        held.append(f"has(event_names, {text})")
    if name in _SPECIAL:
        held.append(f"{_SPECIAL[name]} = {text}")
    return f"({' OR '.join(held)})"


_SPANS = f"""SELECT trace_id, span_id, parent_span_id, name, service, otel_kind, start_ns, {_DURATION} AS duration_ns, end_ns > 0 AS ended,
    toString(status) AS status, status_message, trace_state, scope_name, scope_version, attributes, attribute_types, contents, content_types,
    scope_attributes, scope_types, resource, resource_types, event_times, event_names, event_attributes, event_types, link_trace_ids, link_span_ids,
    link_attributes, link_types
FROM span_records FINAL WHERE trace_id IN {{ids:Array(String)}} AND start_ns BETWEEN {{first:UInt64}} AND {{last:UInt64}}
ORDER BY start_ns, span_id LIMIT {{most:UInt64}}"""
_VALUES = "FROM payloads WHERE trace_id IN {ids:Array(String)} AND hash IN {hashes:Array(UInt64)} GROUP BY hash"
_CUT = "if(lengthUTF8(value) > {most:UInt64}, concat(leftUTF8(value, {most:UInt64}), ' … (cut)'), value)"


def spans_of(store: Store, trace_ids: Sequence[str], *, content_characters: int | None = None) -> dict[str, list[ClassicSpan]]:
    """The spans of these traces by trace, in the order of ``trace_ids``; a trace that is not here has no entry.

    :param content_characters: content that is longer is cut there, and says so; None for all of it
    """
    if not trace_ids:
        return {}
    ids = {"ids": list(trace_ids)}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", ids).result_rows
    rows = store.rows(_SPANS, {**ids, "first": first, "last": last, "most": MOST_SPANS})
    hashes = sorted({hash_ for row in rows for hash_ in row["contents"].values()})
    value = "value" if content_characters is None else _CUT
    asked = {**ids, "hashes": hashes, "most": content_characters or 0}
    texts = store.pairs(f"SELECT hash, any({value}) {_VALUES}", asked) if hashes else {}
    found: dict[str, list[ClassicSpan]] = {trace_id: [] for trace_id in trace_ids}
    for row in rows:
        found[row["trace_id"]].append(_span(row, texts))
    return {trace_id: spans for trace_id, spans in found.items() if spans}


_SUMMARIES = """SELECT trace_id, min(start_ns) AS first_ns, max(greatest(end_ns, start_ns)) AS last_ns, count() AS spans,
    countIf(status = 'error') AS errors, countIf(parent_span_id != '' AND (trace_id, parent_span_id) NOT IN (
        SELECT trace_id, span_id FROM span_records WHERE trace_id IN {ids:Array(String)})) AS orphans,
    argMin((toString(service), toString(name)), (parent_span_id != '', start_ns, span_id)) AS root,
    sumMap(map(toString(service), toUInt64(1))) AS held, sumMap(map(toString(service), toUInt64(status = 'error'))) AS failed
FROM span_records FINAL WHERE trace_id IN {ids:Array(String)} AND start_ns BETWEEN {first:UInt64} AND {last:UInt64} GROUP BY trace_id"""


def summaries(store: Store, trace_ids: Sequence[str]) -> list[Summary]:
    """These traces in short, in the order of ``trace_ids``; one that is not here is left out."""
    if not trace_ids:
        return []
    ids = {"ids": list(trace_ids)}
    [(first, last)] = store.query("SELECT min(first_ns), max(last_ns) FROM traces WHERE trace_id IN {ids:Array(String)}", ids).result_rows
    found: dict[str, Summary] = {}
    for row in store.rows(_SUMMARIES, {**ids, "first": first, "last": last}):
        (service, name), held, failed = row.pop("root"), row.pop("held"), row.pop("failed")
        services = {one: (spans, failed.get(one, 0)) for one, spans in held.items()}
        found[row["trace_id"]] = Summary(service=service, name=name, services=services, **row)
    return [found[trace_id] for trace_id in trace_ids if trace_id in found]


def _span(row: dict[str, Any], texts: Mapping[int, str]) -> ClassicSpan:
    attributes = _typed(row.pop("attributes"), row.pop("attribute_types"))
    attributes |= _typed({key: texts.get(hash_, "") for key, hash_ in row.pop("contents").items()}, row.pop("content_types"))
    for name in ("scope", "resource"):
        values = "scope_attributes" if name == "scope" else name
        row[values] = _typed(row[values], row.pop(f"{name}_types"))
    events = zip_longest(row.pop("event_times"), row.pop("event_names"), row.pop("event_attributes"), row.pop("event_types"))
    links = zip_longest(row.pop("link_trace_ids"), row.pop("link_span_ids"), row.pop("link_attributes"), row.pop("link_types"))
    row["ended"] = bool(row["ended"])
    return ClassicSpan(
        **row,
        attributes=attributes,
        events=[(at, name, _typed(values, types)) for at, name, values, types in events],
        links=[(trace_id, span_id, _typed(values, types)) for trace_id, span_id, values, types in links],
    )


def _typed(values: Mapping[str, str], types: Sequence[str] | None) -> dict[str, Any]:
    """Values with their types; what was stored before types were kept is text."""
    return {key: _plain(text, kind) for (key, text), kind in zip(values.items(), types or repeat("string"), strict=False)}


def _plain(text: str, kind: str) -> Any:
    return text if kind == "json" else typed(text, kind)
