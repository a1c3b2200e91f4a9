-- Spans: structure, normalised columns, short attributes. Content is in payloads, by hash. In the order of time, to the second: the newest are
-- read first and lie together. Two versions of a span that start in different seconds do not replace each other here: the settler retires one.
CREATE TABLE IF NOT EXISTS span_records $on_cluster (
    $span_columns,
    INDEX attribute_values arrayMap((k, v) -> concat(k, '=', v), mapKeys(attributes), mapValues(attributes)) TYPE text(tokenizer = 'array', posting_list_codec = 'bitpacking'),
    INDEX traces trace_id TYPE bloom_filter(0.0005) GRANULARITY 1
) ENGINE = ${replicated}ReplacingMergeTree(version, retired)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY ($second, trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024, min_bytes_for_wide_part = 134217728
