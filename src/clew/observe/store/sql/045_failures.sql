-- Where failures began, each once, as the settler found it: what went wrong without its variable parts, and where. It goes with the day on which
-- the span arrived. A row without held says that an earlier one does not hold any more.
CREATE TABLE IF NOT EXISTS failures $on_cluster (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    settled_ns UInt64,
    held Bool,
    start_ns UInt64,
    lasted Nullable(Int64),
    fingerprint String CODEC(ZSTD(1)),
    type LowCardinality(String),
    pattern String CODEC(ZSTD(1)),
    said String CODEC(ZSTD(1)),
    label String CODEC(ZSTD(1)),
    place String CODEC(ZSTD(1)),
    of_kind LowCardinality(String),
    of_agent LowCardinality(String),
    of_model LowCardinality(String),
    of_tool LowCardinality(String),
    of_service LowCardinality(String),
    of_error LowCardinality(String),
    of_user String CODEC(ZSTD(1)),
    day Date
) ENGINE = ${replicated}ReplacingMergeTree(settled_ns)
PARTITION BY day
ORDER BY ($second, trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
