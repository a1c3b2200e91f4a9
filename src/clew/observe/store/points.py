"""SQL generated from the declared OTLP messages: points of metrics, one row each, whatever kind of metric they belong to."""

from __future__ import annotations

from clew.observe.store import redaction
from clew.observe.store.normalise import VALUE_TYPE_SQL, Names, literal
from clew.wire.otlp import METRIC_KINDS, METRICS

KIND_SQL = "Enum8(" + ", ".join(f"'{kind}' = {number}" for number, kind in enumerate(METRIC_KINDS)) + ")"
TEMPORALITIES = ("unspecified", "delta", "cumulative")
TEMPORALITY_SQL = "Enum8(" + ", ".join(f"'{name}' = {number}" for number, name in enumerate(TEMPORALITIES)) + ")"
_JSON_TEMPORALITIES = tuple(f"AGGREGATION_TEMPORALITY_{name.upper()}" for name in TEMPORALITIES)

POINT_COLUMNS: tuple[tuple[str, str], ...] = (
    ("name", "LowCardinality(String)"),
    ("series", "UInt64 CODEC(ZSTD(1))"),
    ("time_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("start_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("arrival_ns", "UInt64 CODEC(Delta, ZSTD(1))"),
    ("sender", "LowCardinality(String)"),
    ("kind", KIND_SQL),
    ("unit", "LowCardinality(String)"),
    ("description", "LowCardinality(String)"),
    ("temporality", TEMPORALITY_SQL),
    ("is_monotonic", "Bool"),
    ("service", "LowCardinality(String)"),
    ("process", "LowCardinality(String)"),
    ("scope_name", "LowCardinality(String)"),
    ("scope_version", "LowCardinality(String)"),
    ("scope_attributes", "Map(LowCardinality(String), String) CODEC(ZSTD(3))"),
    ("scope_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(3))"),
    ("flags", "UInt32"),
    ("value", "Nullable(Float64)"),
    ("int_value", "Nullable(Int64)"),
    ("count", "Nullable(UInt64)"),
    ("sum", "Nullable(Float64)"),
    ("min", "Nullable(Float64)"),
    ("max", "Nullable(Float64)"),
    ("bounds", "Array(Float64)"),
    ("counts", "Array(UInt64)"),
    ("scale", "Int32"),
    ("zero_count", "UInt64"),
    ("zero_threshold", "Float64"),
    ("positive_offset", "Int32"),
    ("positive_counts", "Array(UInt64)"),
    ("negative_offset", "Int32"),
    ("negative_counts", "Array(UInt64)"),
    ("quantiles", "Array(Float64)"),
    ("quantile_values", "Array(Float64)"),
    ("exemplar_times", "Array(UInt64) CODEC(ZSTD(3))"),
    ("exemplar_values", "Array(Float64) CODEC(ZSTD(3))"),
    ("exemplar_trace_ids", "Array(String) CODEC(ZSTD(3))"),
    ("exemplar_span_ids", "Array(String) CODEC(ZSTD(3))"),
    ("exemplar_attributes", "Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3))"),
    ("resource", "Map(LowCardinality(String), String) CODEC(ZSTD(3))"),
    ("resource_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(3))"),
    ("attributes", "Map(LowCardinality(String), String) CODEC(ZSTD(3))"),
    ("attribute_types", f"Array({VALUE_TYPE_SQL}) CODEC(ZSTD(3))"),
)

_HISTOGRAM = {"count": "p.count", "sum": "p.sum", "min": "p.min", "max": "p.max"}
_OF_KIND: dict[str, dict[str, str]] = {
    "gauge": {"value": "p.as_double", "int_value": "p.as_int"},
    "sum": {"value": "p.as_double", "int_value": "p.as_int"},
    "histogram": {**_HISTOGRAM, "bounds": "p.explicit_bounds", "counts": "p.bucket_counts"},
    "exponential_histogram": {
        **_HISTOGRAM,
        "scale": "p.scale",
        "zero_count": "p.zero_count",
        "zero_threshold": "p.zero_threshold",
        "positive_offset": "p.positive.offset",
        "positive_counts": "p.positive.bucket_counts",
        "negative_offset": "p.negative.offset",
        "negative_counts": "p.negative.bucket_counts",
    },
    "summary": {
        "count": "p.count",
        "sum": "p.sum",
        "quantiles": "p.quantile_values.quantile",
        "quantile_values": "p.quantile_values.value",
    },
}
"""Where a kind of metric keeps what; other columns of the figures are NULL, 0 or empty for it."""

_FIGURES = tuple((name, kind) for name, kind in POINT_COLUMNS if any(name in found for found in _OF_KIND.values()))
_POINT = (
    ("kind", "String"),
    ("temporality", "UInt8"),
    ("is_monotonic", "Bool"),
    ("start_ns", "UInt64"),
    ("time_ns", "UInt64"),
    ("flags", "UInt32"),
    ("keys", "Array(String)"),
    ("texts", "Array(String)"),
    ("types", "Array(String)"),
    ("exemplar_times", "Array(UInt64)"),
    ("exemplar_values", "Array(Float64)"),
    ("exemplar_trace_ids", "Array(String)"),
    ("exemplar_span_ids", "Array(String)"),
    ("exemplar_attributes", "Array(Map(String, String))"),
    *_FIGURES,
)
_POINT_TYPE = "Tuple(" + ", ".join(f"{name} {kind}" for name, kind in _POINT) + ")"
_EMPTY = {"Nullable": "NULL", "Array": "[]"}


def _points_of(kind: str, n: Names) -> str:
    """The points of one kind of metric as an array of _POINT."""
    temporality = "0"
    if kind not in ("gauge", "summary"):
        path = f"r.{kind}.aggregation_temporality"
        temporality = n.enum(path, _JSON_TEMPORALITIES)
    monotonic = n("r.sum.is_monotonic") if kind == "sum" else "false"
    figures = [n(_OF_KIND[kind][name]) if name in _OF_KIND[kind] else _EMPTY.get(type_.partition("(")[0], "0") for name, type_ in _FIGURES]
    values = [
        literal(kind),
        temporality,
        monotonic,
        n("p.start_time_unix_nano"),
        n("p.time_unix_nano"),
        n("p.flags"),
        n("p.attributes.key"),
        n.texts("p.attributes.value"),
        n.types("p.attributes.value"),
        *(_exemplars(n) if kind != "summary" else ["[]"] * 5),
        *figures,
    ]
    return f"arrayMap(p -> CAST(({', '.join(values)}), '{_POINT_TYPE}'), {n(f'r.{kind}.data_points')})"


def _exemplars(n: Names) -> list[str]:
    """Values of exemplars are measurements: a whole number is one too."""
    value = f"assumeNotNull(coalesce({n('x.as_double')}, toFloat64({n('x.as_int')}), 0))"
    attributes = f"mapFromArrays({n('x.filtered_attributes.key')}, {n.texts('x.filtered_attributes.value')})"
    each = [n("x.time_unix_nano"), value, n.id("x.trace_id"), n.id("x.span_id"), attributes]
    return [f"arrayMap(x -> {one}, {n('p.exemplars')})" for one in each]


def decode(*, json: bool, redact: bool = False) -> str:
    """The SELECT that turns the nested arrays of a landing table for metrics into one row per point.

    :param redact: mask secrets in the attributes of points, scopes and resources
    """
    n = Names(json=json)
    arrays = ",\n        ".join(_points_of(kind, n) for kind in METRIC_KINDS)
    computed = {
        "series": "cityHash64(resource_keys, resource_texts, scope_name, name, unit, point.kind, point.keys, point.texts)",
        "service": "resource_texts[indexOf(resource_keys, 'service.name')]",
        "process": "resource_texts[indexOf(resource_keys, 'service.instance.id')]",
        "scope_attributes": "mapFromArrays(scope_keys, scope_texts)",
        "resource": "mapFromArrays(resource_keys, resource_texts)",
        "attributes": "mapFromArrays(point.keys, point.texts)",
        "attribute_types": "point.types",
    }
    readers = n.readers()
    if redact:
        readers += f",\n        {redaction.readers()}"
        for name, keys, texts in (
            ("scope_attributes", "scope_keys", "scope_texts"),
            ("resource", "resource_keys", "resource_texts"),
            ("attributes", "point.keys", "point.texts"),
        ):
            computed[name] = f"mapFromArrays({keys}, arrayMap((k, t) -> clean_value(k, t, 'string'), {keys}, {texts}))"
    of_point = {name for name, _ in _POINT}
    columns = [
        f"{computed[name]} AS {name}" if name in computed else f"point.{name} AS {name}" if name in of_point else name
        for name, _ in POINT_COLUMNS
    ]
    carried = "arrival_ns, sender, resource_keys, resource_texts, resource_types"
    of_scope = "scope_name, scope_version, scope_keys, scope_texts, scope_types"
    return f"""WITH {readers}
SELECT
    {", ".join(columns)}
FROM (
    SELECT {carried}, {of_scope}, {n("r.name")} AS name, {n("r.description")} AS description, {n("r.unit")} AS unit,
        arrayJoin(arrayConcat(
        {arrays})) AS point
    FROM (
        SELECT {carried}, {n("scope.scope.name")} AS scope_name, {n("scope.scope.version")} AS scope_version,
            {n("scope.scope.attributes.key")} AS scope_keys, {n.texts("scope.scope.attributes.value")} AS scope_texts,
            {n.types("scope.scope.attributes.value")} AS scope_types, arrayJoin({n("scope." + METRICS.records)}) AS r
        FROM (
            SELECT
                arrival_ns,
                sender,
                {n("group.resource.attributes.key")} AS resource_keys,
                {n.texts("group.resource.attributes.value")} AS resource_texts,
                {n.types("group.resource.attributes.value")} AS resource_types,
                arrayJoin({n("group." + METRICS.scopes)}) AS scope
            FROM (
                SELECT {n("arrival_time_unix_nano")} AS arrival_ns, sender, arrayJoin({n(METRICS.resources)}) AS group
                FROM landing_metrics_{"json" if json else "protobuf"}
            )
        )
    )
)"""
