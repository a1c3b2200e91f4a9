-- Log records. A record has no id of its own: it is what it says, and its number among equal ones of its batch. In the
-- order of time, to the second, as spans are: the newest are read first and lie together; the exact time is part of the content.
CREATE TABLE IF NOT EXISTS log_records $on_cluster (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    time_ns UInt64 CODEC(Delta, ZSTD(1)),
    content_hash UInt64 CODEC(NONE),
    ordinal UInt32,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    sender LowCardinality(String),
    service LowCardinality(String),
    process LowCardinality(String),
    scope_name LowCardinality(String),
    severity_number UInt8,
    severity_text LowCardinality(String),
    event_name LowCardinality(String),
    body String CODEC(ZSTD(3, 24)),
    body_type $value_type,
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_types Array($value_type) CODEC(ZSTD(1)),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_types Array($value_type) CODEC(ZSTD(1)),
    resource_types Array($value_type) CODEC(ZSTD(1)),
    INDEX traces trace_id TYPE bloom_filter(0.0005) GRANULARITY 1
) ENGINE = ${replicated}ReplacingMergeTree(arrival_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (intDiv(time_ns, 1000000000), trace_id, content_hash, ordinal)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024
