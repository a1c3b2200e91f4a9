-- Spans: structure, normalised columns, short attributes. Content is in payloads, by hash.
CREATE TABLE IF NOT EXISTS span_records $on_cluster (
    $span_columns,
    INDEX attribute_values arrayMap((k, v) -> concat(k, '=', v), mapKeys(attributes), mapValues(attributes)) TYPE text(tokenizer = 'array', posting_list_codec = 'bitpacking'),
    INDEX starts start_ns TYPE minmax GRANULARITY 1
) ENGINE = ${replicated}ReplacingMergeTree(version)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024, min_bytes_for_wide_part = 134217728
