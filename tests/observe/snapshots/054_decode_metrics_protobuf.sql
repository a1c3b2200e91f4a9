DROP VIEW IF EXISTS decode_metrics_protobuf  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_metrics_protobuf  TO point_records AS
SELECT
    name, cityHash64(resource_keys, resource_texts, scope_name, name, unit, point.kind, point.keys, point.texts) AS series, point.time_ns AS time_ns, point.start_ns AS start_ns, arrival_ns, sender, point.kind AS kind, unit, description, point.temporality AS temporality, point.is_monotonic AS is_monotonic, resource_texts[indexOf(resource_keys, 'service.name')] AS service, resource_texts[indexOf(resource_keys, 'service.instance.id')] AS process, scope_name, point.flags AS flags, point.value AS value, point.int_value AS int_value, point.count AS count, point.sum AS sum, point.min AS min, point.max AS max, point.bounds AS bounds, point.counts AS counts, point.scale AS scale, point.zero_count AS zero_count, point.zero_threshold AS zero_threshold, point.positive_offset AS positive_offset, point.positive_counts AS positive_counts, point.negative_offset AS negative_offset, point.negative_counts AS negative_counts, point.quantiles AS quantiles, point.quantile_values AS quantile_values, mapFromArrays(resource_keys, resource_texts) AS resource, mapFromArrays(point.keys, point.texts) AS attributes, point.types AS attribute_types
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, scope_name, r.name AS name, r.description AS description, r.unit AS unit,
        arrayJoin(arrayConcat(
        arrayMap(p -> CAST(('gauge', 0, false, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
        'json'), p.attributes.value), p.as_double, p.as_int, NULL, NULL, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.gauge.data_points),
        arrayMap(p -> CAST(('sum', r.sum.aggregation_temporality, r.sum.is_monotonic, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
        'json'), p.attributes.value), p.as_double, p.as_int, NULL, NULL, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.sum.data_points),
        arrayMap(p -> CAST(('histogram', r.histogram.aggregation_temporality, false, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, p.min, p.max, p.explicit_bounds, p.bucket_counts, 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.histogram.data_points),
        arrayMap(p -> CAST(('exponential_histogram', r.exponential_histogram.aggregation_temporality, false, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, p.min, p.max, [], [], p.scale, p.zero_count, p.zero_threshold, p.positive.offset, p.positive.bucket_counts, p.negative.offset, p.negative.bucket_counts, [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.exponential_histogram.data_points),
        arrayMap(p -> CAST(('summary', 0, false, p.start_time_unix_nano, p.time_unix_nano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], p.quantile_values.quantile, p.quantile_values.value), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.summary.data_points))) AS point
    FROM (
        SELECT arrival_ns, sender, resource_keys, resource_texts, scope.scope.name AS scope_name, arrayJoin(scope.metrics) AS r
        FROM (
            SELECT
                arrival_ns,
                sender,
                group.resource.attributes.key AS resource_keys,
                arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')), group.resource.attributes.value) AS resource_texts,
                arrayJoin(group.scope_metrics) AS scope
            FROM (
                SELECT arrival_time_unix_nano AS arrival_ns, sender, arrayJoin(resource_metrics) AS group
                FROM landing_metrics_protobuf
            )
        )
    )
);
