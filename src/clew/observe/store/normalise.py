"""SQL generated from the declared tables: decoding OTLP (wire/otlp.py) and normalising the dialects (model/dialects.py)."""

from __future__ import annotations

from collections.abc import Iterable

from clew.model.dialects import (
    COLUMNS,
    CONTENT_KEYS,
    CONTENT_PATTERNS,
    KIND_MARKS,
    KIND_SOURCES,
    LONG_VALUE_BYTES,
    PARTS,
    RESTATING,
    Column,
)
from clew.model.kinds import KINDS, STATUS_CODES
from clew.wire.otlp import TRACES, Signal, camel

VALUE_TYPES = ("string", "int", "double", "bool", "json")


def _enum(names: Iterable[str]) -> str:
    return "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(names)) + ")"


VALUE_TYPE_SQL = _enum(VALUE_TYPES)
KIND_SQL = _enum(KINDS)
STATUS_SQL = _enum(STATUS_CODES)

_COLUMN_SQL = {
    "text": "LowCardinality(String)",
    "count": "Nullable(UInt64)",
    "usd": "Nullable(Float64)",
    "flag": "Bool",
}
_WIDE = {"session_id", "user_id", "tool_call_id"}
"""Columns with too many values for a dictionary."""

SPAN_COLUMNS: tuple[tuple[str, str], ...] = (
    ("trace_id", "String CODEC(ZSTD(1))"),
    ("span_id", "String CODEC(ZSTD(1))"),
    ("parent_span_id", "String CODEC(ZSTD(1))"),
    ("version", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("retired", "UInt8"),
    ("arrival_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("kind", KIND_SQL),
    ("name", "LowCardinality(String)"),
    ("service", "LowCardinality(String)"),
    ("process", "LowCardinality(String)"),
    ("status", STATUS_SQL),
    ("status_message", "String CODEC(ZSTD(1))"),
    ("start_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("end_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("content_hash", "UInt64 CODEC(NONE)"),
    ("otel_kind", "UInt8"),
    ("trace_state", "String CODEC(ZSTD(1))"),
    ("scope_name", "LowCardinality(String)"),
    ("scope_version", "LowCardinality(String)"),
    ("sender", "LowCardinality(String)"),
    *((column.name, "String CODEC(ZSTD(1))" if column.name in _WIDE else _COLUMN_SQL[column.type]) for column in COLUMNS),
    ("scope_attributes", "Map(LowCardinality(String), String) CODEC(ZSTD(1))"),
    ("scope_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(1))"),
    ("resource", "Map(LowCardinality(String), String) CODEC(ZSTD(1))"),
    ("resource_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(1))"),
    ("attributes", "Map(LowCardinality(String), String) CODEC(ZSTD(1))"),
    ("attribute_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(1))"),
    ("contents", "Map(LowCardinality(String), UInt64) CODEC(ZSTD(1))"),
    ("content_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(1))"),
    ("event_times", "Array(UInt64) CODEC(ZSTD(1))"),
    ("event_names", "Array(LowCardinality(String)) CODEC(ZSTD(1))"),
    ("event_attributes", "Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1))"),
    ("event_types", f"Array(Array({VALUE_TYPE_SQL})) CODEC(ZSTD(1))"),
    ("link_trace_ids", "Array(String) CODEC(ZSTD(1))"),
    ("link_span_ids", "Array(String) CODEC(ZSTD(1))"),
    ("link_attributes", "Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1))"),
    ("link_types", f"Array(Array({VALUE_TYPE_SQL})) CODEC(ZSTD(1))"),
)


SECOND = "intDiv(start_ns, 1000000000)"
"""What span_records are ordered by, before their ids. A condition on start_ns is a range of it."""

NEWEST_FIRST = f"{SECOND} DESC, start_ns DESC"
"""The order in which span_records are read without sorting them all."""


DURATION = "if(end_ns > 0, toInt64(greatest(end_ns, start_ns) - start_ns), NULL)"
"""Nanoseconds that a span took; NULL while it has not ended."""

NUMBER = "cityHash64(trace_id, span_id)"
"""Of a span: to look it up among many takes a third of what its two texts take."""

DAY = "toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')"
"""The day of arrival, UTC: what every table that holds records is partitioned by, so that retention can drop it."""


def literal(text: str) -> str:
    """``text`` as an SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _array(texts: list[str]) -> str:
    return f"[{', '.join(literal(text) for text in texts)}]"


class Names:
    """Landing columns under the names of one encoding: ``n("s.trace_id")`` is ``s.trace_id`` or ``s.traceId``."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def __call__(self, path: str) -> str:
        return ".".join(camel(name) for name in path.split(".")) if self.json else path

    def id(self, path: str) -> str:
        """Hex digits of an id; JSON senders give hex, in either case."""
        return f"lower({self(path)})" if self.json else f"lower(hex({path}))"

    def enum(self, path: str, names: tuple[str, ...]) -> str:
        """A number; JSON senders may give its name instead."""
        if not self.json:
            return path
        numbers = list(range(len(names)))
        return f"transform({self(path)}, {_array([*map(str, numbers), *names])}, {numbers + numbers}, 0)"

    def bytes(self, path: str) -> str:
        """Bytes as base64, which is how JSON senders give them."""
        return self(path) if self.json else f"base64Encode({path})"

    def _element(self) -> str:
        """JSON text of the array element ``e``."""
        n = self
        return f"""multiIf(
            isNotNull({n("e.string_value")}), toJSONString({n("e.string_value")}),
            isNotNull({n("e.int_value")}), toString({n("e.int_value")}),
            isNotNull({n("e.double_value")}), {_json_number(n("e.double_value"))},
            isNotNull({n("e.bool_value")}), if({n("e.bool_value")}, 'true', 'false'),
            isNotNull({n("e.bytes_value")}), toJSONString({n.bytes("e.bytes_value")}),
            'null')"""

    def texts(self, values: str) -> str:
        """An array of values as texts."""
        return f"arrayMap(text_of, {self(values)})"

    def types(self, values: str) -> str:
        """Their types."""
        return f"arrayMap(type_of, {self(values)})"

    def readers(self) -> str:
        """What texts() and types() name, for the WITH clause of the whole SELECT."""
        n = self
        return f"""v -> assumeNotNull(multiIf(
        isNotNull({n("v.string_value")}), {n("v.string_value")},
        isNotNull({n("v.int_value")}), toString({n("v.int_value")}),
        isNotNull({n("v.double_value")}), toString({n("v.double_value")}),
        isNotNull({n("v.bool_value")}), if({n("v.bool_value")}, 'true', 'false'),
        isNotNull({n("v.json_value")}), {n("v.json_value")},
        notEmpty({n("v.array_value.values")}), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull({self._element()}), {n("v.array_value.values")}), ','), ']'),
        isNotNull({n("v.bytes_value")}), toJSONString({n.bytes("v.bytes_value")}),
        'null')) AS text_of,
    v -> multiIf(
        isNotNull({n("v.string_value")}), 'string',
        isNotNull({n("v.int_value")}), 'int',
        isNotNull({n("v.double_value")}), 'double',
        isNotNull({n("v.bool_value")}), 'bool',
        'json') AS type_of"""


def _json_number(path: str) -> str:
    """A double's text in JSON: with a point or an exponent, so that it is read back as a double; what is no number as text."""
    text = f"assumeNotNull(toString({path}))"
    return f"multiIf(NOT isFinite({path}), toJSONString({text}), match({text}, '[.e]'), {text}, concat({text}, '.0'))"


_SPAN_KINDS = tuple(f"SPAN_KIND_{name}" for name in ("UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"))
_STATUS_CODES = tuple(f"STATUS_CODE_{name}" for name in ("UNSET", "OK", "ERROR"))
_SEVERITIES = (
    "SEVERITY_NUMBER_UNSPECIFIED",
    *(f"SEVERITY_NUMBER_{level}{step}" for level in ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL") for step in ("", 2, 3, 4)),
)


def decode(signal: Signal, *, json: bool) -> str:
    """The SELECT that turns the nested arrays of a landing table into one row per record."""
    n = Names(json=json)
    records = n("scope." + signal.records)
    if signal is TRACES:
        record, ordinal, records = _decoded_span(n), "", f"arrayJoin({records})"
    else:  # equal records of one request are told apart by their number among themselves
        record, records = _decoded_log(n), f"arrayJoin(arrayZip({records}, arrayEnumerateUniq(arrayMap(x -> toString(x), {records})))).1"
        ordinal = ", " + records.removesuffix(".1") + ".2 AS ordinal"
    return f"""WITH {n.readers()}
SELECT
    arrival_ns,
    sender,
    resource_keys,
    resource_texts,
    resource_types,
    {n("scope.scope.name")} AS scope_name,
    {n("scope.scope.version")} AS scope_version,
    {n("scope.scope.attributes.key")} AS scope_keys,
    {n.texts("scope.scope.attributes.value")} AS scope_texts,
    {n.types("scope.scope.attributes.value")} AS scope_types,
    {record}
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, {records} AS r{ordinal}
    FROM (
        SELECT
            arrival_ns,
            sender,
            {n("group.resource.attributes.key")} AS resource_keys,
            {n.texts("group.resource.attributes.value")} AS resource_texts,
            {n.types("group.resource.attributes.value")} AS resource_types,
            arrayJoin({n("group." + signal.scopes)}) AS scope
        FROM (
            SELECT {n("arrival_time_unix_nano")} AS arrival_ns, sender, arrayJoin({n(signal.resources)}) AS group
            FROM landing_{signal.name}_{"json" if json else "protobuf"}
        )
    )
)"""


def _decoded_span(n: Names) -> str:
    return f"""{n.id("r.trace_id")} AS trace_id,
    {n.id("r.span_id")} AS span_id,
    {n.id("r.parent_span_id")} AS parent_span_id,
    {n("r.trace_state")} AS trace_state,
    {n("r.name")} AS name,
    {n.enum("r.kind", _SPAN_KINDS)} AS otel_kind,
    {n("r.start_time_unix_nano")} AS start_ns,
    {n("r.end_time_unix_nano")} AS end_ns,
    {n("r.attributes.key")} AS keys,
    {n.texts("r.attributes.value")} AS texts,
    {n.types("r.attributes.value")} AS types,
    {n("r.events.time_unix_nano")} AS event_times,
    {n("r.events.name")} AS event_names,
    arrayMap(x -> {n("x.attributes.key")}, {n("r.events")}) AS event_keys,
    arrayMap(x -> {n.texts("x.attributes.value")}, {n("r.events")}) AS event_texts,
    arrayMap(x -> {n.types("x.attributes.value")}, {n("r.events")}) AS event_types,
    arrayMap(x -> {n.id("x.trace_id")}, {n("r.links")}) AS link_trace_ids,
    arrayMap(x -> {n.id("x.span_id")}, {n("r.links")}) AS link_span_ids,
    arrayMap(x -> {n("x.attributes.key")}, {n("r.links")}) AS link_keys,
    arrayMap(x -> {n.texts("x.attributes.value")}, {n("r.links")}) AS link_texts,
    arrayMap(x -> {n.types("x.attributes.value")}, {n("r.links")}) AS link_types,
    {n.enum("r.status.code", _STATUS_CODES)} AS status_code,
    {n("r.status.message")} AS status_message"""


def _decoded_log(n: Names) -> str:
    return f"""ordinal,
    {n.id("r.trace_id")} AS trace_id,
    {n.id("r.span_id")} AS span_id,
    {n("r.time_unix_nano")} AS time_ns,
    {n("r.observed_time_unix_nano")} AS observed_ns,
    {n.enum("r.severity_number", _SEVERITIES)} AS severity_number,
    {n("r.severity_text")} AS severity_text,
    {n("r.event_name")} AS event_name,
    {n.texts("[r.body]")}[1] AS body,
    {n.types("[r.body]")}[1] AS body_type,
    {n("r.attributes.key")} AS keys,
    {n.texts("r.attributes.value")} AS texts,
    {n.types("r.attributes.value")} AS types"""


_STRIDE = 64
"""Most keys of one column."""

_CODES: dict[str, int] = {
    **{source.key: rank for rank, source in enumerate(KIND_SOURCES, 1)},
    **{key: slot * _STRIDE + rank for slot, column in enumerate(COLUMNS, 1) for rank, key in enumerate(column.keys, 1)},
}
"""Source key -> slot of its column and its rank within it, in one number: smaller is better. Slot 0 is the kind. Looking up numbers is
much cheaper than comparing each key with each attribute name."""

_CONTENT_CODE = _STRIDE * (len(COLUMNS) + 1)
"""Code of the keys that are content whatever their value."""


def _count(text: str) -> str:
    """A count, which arrives as int, float or string; NULL when there is none."""
    return f"if(has_usage, coalesce(toUInt64OrNull({text}), accurateCastOrNull(toFloat64OrNull({text}), 'UInt64')), NULL)"


def _closed(name: str) -> str:
    """A whole includes its parts. Where the parts exceed it, the sender counts them apart, and they are added."""
    count, parts = f"given_{name}", " + ".join(f"ifNull({part}, 0)" for part in PARTS[name])
    return f"if(isNull({count}) OR {parts} <= assumeNotNull({count}), {count}, {count} + {parts})"


def _column(slot: int, column: Column) -> str:
    text = f"found[indexOf(slots, {slot})]"
    if column.type == "text":
        return text
    if column.type == "count":
        return _count(text)
    if column.type == "usd":
        return f"toFloat64OrNull({text})"
    return f"{text} IN ('true', '1')"


def _known_kinds() -> str:
    """What the kind sources say that have a value which is known."""
    meanings = {f"{rank}:{value}": kind for rank, source in enumerate(KIND_SOURCES, 1) for value, kind in source.values.items()}
    meaning = f"transform(concat(toString(c), ':', lower(t)), {_array(list(meanings))}, {_array(list(meanings.values()))}, '')"
    return f"arrayFilter(k -> k != '', arrayMap((c, t) -> if(c < {_STRIDE}, {meaning}, ''), found_codes, found))"


def _kind() -> str:
    """The first kind source with a value that it knows; else the first mark."""
    marks = ", ".join(f"has(found_codes, {_CODES[key]}), {literal(kind)}" for key, kind in KIND_MARKS.items())
    return f"if(empty(known_kinds), multiIf({marks}, 'other'), known_kinds[1])"


def _steps() -> list[dict[str, str]]:
    """What is worked out of a decoded span, one step after the other: each may name what those before it made. As aliases of one SELECT they
    would be written out wherever they stand, and planning that took longer than the insert of some thousand spans."""
    codes = dict.fromkeys(CONTENT_KEYS, _CONTENT_CODE) | _CODES
    usage = [slot for slot, column in enumerate(COLUMNS, 1) if column.type == "count"]
    pattern = literal("^(" + "|".join(CONTENT_PATTERNS) + ")$")
    restates = " OR ".join(
        f"(k = {literal(key)} AND arrayExists(o -> startsWith(o, {literal(prefix)}), keys))" for key, prefix in RESTATING.items()
    )
    counts = {
        f"given_{column.name}" if column.name in PARTS else column.name: _column(slot, column)
        for slot, column in enumerate(COLUMNS, 1)
        if column.type == "count"
    }
    return [
        {"codes": f"arrayMap(k -> toUInt16(transform(k, {_array(list(codes))}, {list(codes.values())}, 0)), keys)"},
        {
            "is_found": f"arrayMap((c, v) -> c BETWEEN 1 AND {_CONTENT_CODE - 1} AND notEmpty(v), codes, texts)",
            "is_content": f"arrayMap((k, v, c) -> length(v) > {LONG_VALUE_BYTES} OR c = {_CONTENT_CODE} OR (c = 0 AND match(k, {pattern})), keys, texts, codes)",
        },
        {
            "found": "arraySort((v, c) -> c, arrayFilter((v, f) -> f, texts, is_found), arrayFilter((c, f) -> f, codes, is_found))",
            "found_codes": "arraySort(arrayFilter((c, f) -> f, codes, is_found))",
            "content_keys": "arrayFilter((k, c) -> c, keys, is_content)",
            "content_texts": "arrayFilter((v, c) -> c, texts, is_content)",
        },
        {
            "slots": f"arrayMap(c -> intDiv(c, {_STRIDE}), found_codes)",
            "known_kinds": _known_kinds(),
            "content_hashes": "arrayMap(v -> xxh3(v), content_texts)",
            "content_restates": f"arrayMap(k -> {restates}, content_keys)",
        },
        {"has_usage": f"hasAny(slots, {usage})"},
        counts,
    ]


def normalise(source: str = "decoded_spans") -> str:
    """The SELECT that gives each decoded span its normalised columns, and sets its content apart."""
    computed = {
        "version": "bitOr(bitShiftLeft(toUInt64(end_ns > 0), 63), arrival_ns)",
        "retired": "toUInt8(0)",
        "content_hash": "cityHash64(parent_span_id, name, otel_kind, start_ns, end_ns, keys, texts, event_names, event_texts, link_span_ids, status_code, status_message)",
        "kind": _kind(),
        "service": "resource_texts[indexOf(resource_keys, 'service.name')]",
        "process": "resource_texts[indexOf(resource_keys, 'service.instance.id')]",
        "status": "status_code",
        "scope_attributes": "mapFromArrays(scope_keys, scope_texts)",
        "resource": "mapFromArrays(resource_keys, resource_texts)",
        "attributes": "mapFromArrays(arrayFilter((k, c) -> NOT c, keys, is_content), arrayFilter((v, c) -> NOT c, texts, is_content))",
        "attribute_types": "arrayFilter((t, c) -> NOT c, types, is_content)",
        "contents": "mapFromArrays(content_keys, content_hashes)",
        "content_types": "arrayFilter((t, c) -> c, types, is_content)",
        "event_attributes": "arrayMap((k, v) -> mapFromArrays(k, v), event_keys, event_texts)",
        "link_attributes": "arrayMap((k, v) -> mapFromArrays(k, v), link_keys, link_texts)",
        **{column.name: _column(slot, column) for slot, column in enumerate(COLUMNS, 1) if column.type != "count"},
        **{name: _closed(name) for name in PARTS},
    }
    select = ",\n    ".join(f"{computed[name]} AS {name}" if name in computed else name for name, _ in SPAN_COLUMNS)
    for step in _steps():
        source = f"(SELECT *, {', '.join(f'{sql} AS {name}' for name, sql in step.items())}\nFROM {source})"
    return f"""SELECT
    {select},
    content_keys,
    content_texts,
    content_hashes,
    content_restates
FROM {source}"""
