DROP VIEW IF EXISTS decode_metrics_json  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_metrics_json  TO point_records AS
SELECT
    name, cityHash64(resource_keys, resource_texts, scope_name, name, unit, point.kind, point.keys, point.texts) AS series, point.time_ns AS time_ns, point.start_ns AS start_ns, arrival_ns, sender, point.kind AS kind, unit, description, point.temporality AS temporality, point.is_monotonic AS is_monotonic, resource_texts[indexOf(resource_keys, 'service.name')] AS service, resource_texts[indexOf(resource_keys, 'service.instance.id')] AS process, scope_name, point.flags AS flags, point.value AS value, point.int_value AS int_value, point.count AS count, point.sum AS sum, point.min AS min, point.max AS max, point.bounds AS bounds, point.counts AS counts, point.scale AS scale, point.zero_count AS zero_count, point.zero_threshold AS zero_threshold, point.positive_offset AS positive_offset, point.positive_counts AS positive_counts, point.negative_offset AS negative_offset, point.negative_counts AS negative_counts, point.quantiles AS quantiles, point.quantile_values AS quantile_values, mapFromArrays(resource_keys, resource_texts) AS resource, mapFromArrays(point.keys, point.texts) AS attributes, point.types AS attribute_types
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, scope_name, r.name AS name, r.description AS description, r.unit AS unit,
        arrayJoin(arrayConcat(
        arrayMap(p -> CAST(('gauge', 0, false, p.startTimeUnixNano, p.timeUnixNano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json'), p.attributes.value), p.asDouble, p.asInt, NULL, NULL, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.gauge.dataPoints),
        arrayMap(p -> CAST(('sum', transform(r.sum.aggregationTemporality, ['0', '1', '2', 'AGGREGATION_TEMPORALITY_UNSPECIFIED', 'AGGREGATION_TEMPORALITY_DELTA', 'AGGREGATION_TEMPORALITY_CUMULATIVE'], [0, 1, 2, 0, 1, 2], 0), r.sum.isMonotonic, p.startTimeUnixNano, p.timeUnixNano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json'), p.attributes.value), p.asDouble, p.asInt, NULL, NULL, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.sum.dataPoints),
        arrayMap(p -> CAST(('histogram', transform(r.histogram.aggregationTemporality, ['0', '1', '2', 'AGGREGATION_TEMPORALITY_UNSPECIFIED', 'AGGREGATION_TEMPORALITY_DELTA', 'AGGREGATION_TEMPORALITY_CUMULATIVE'], [0, 1, 2, 0, 1, 2], 0), false, p.startTimeUnixNano, p.timeUnixNano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, p.min, p.max, p.explicitBounds, p.bucketCounts, 0, 0, 0, 0, [], 0, [], [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.histogram.dataPoints),
        arrayMap(p -> CAST(('exponential_histogram', transform(r.exponentialHistogram.aggregationTemporality, ['0', '1', '2', 'AGGREGATION_TEMPORALITY_UNSPECIFIED', 'AGGREGATION_TEMPORALITY_DELTA', 'AGGREGATION_TEMPORALITY_CUMULATIVE'], [0, 1, 2, 0, 1, 2], 0), false, p.startTimeUnixNano, p.timeUnixNano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, p.min, p.max, [], [], p.scale, p.zeroCount, p.zeroThreshold, p.positive.offset, p.positive.bucketCounts, p.negative.offset, p.negative.bucketCounts, [], []), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.exponentialHistogram.dataPoints),
        arrayMap(p -> CAST(('summary', 0, false, p.startTimeUnixNano, p.timeUnixNano, p.flags, p.attributes.key, arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), p.attributes.value), arrayMap(v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json'), p.attributes.value), NULL, NULL, p.count, p.sum, NULL, NULL, [], [], 0, 0, 0, 0, [], 0, [], p.quantileValues.quantile, p.quantileValues.value), 'Tuple(kind String, temporality UInt8, is_monotonic Bool, start_ns UInt64, time_ns UInt64, flags UInt32, keys Array(String), texts Array(String), types Array(String), value Nullable(Float64), int_value Nullable(Int64), count Nullable(UInt64), sum Nullable(Float64), min Nullable(Float64), max Nullable(Float64), bounds Array(Float64), counts Array(UInt64), scale Int32, zero_count UInt64, zero_threshold Float64, positive_offset Int32, positive_counts Array(UInt64), negative_offset Int32, negative_counts Array(UInt64), quantiles Array(Float64), quantile_values Array(Float64))'), r.summary.dataPoints))) AS point
    FROM (
        SELECT arrival_ns, sender, resource_keys, resource_texts, scope.scope.name AS scope_name, arrayJoin(scope.metrics) AS r
        FROM (
            SELECT
                arrival_ns,
                sender,
                group.resource.attributes.key AS resource_keys,
                arrayMap(v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')), group.resource.attributes.value) AS resource_texts,
                arrayJoin(group.scopeMetrics) AS scope
            FROM (
                SELECT arrivalTimeUnixNano AS arrival_ns, sender, arrayJoin(resourceMetrics) AS group
                FROM landing_metrics_json
            )
        )
    )
);
