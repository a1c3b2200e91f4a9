-- What is known of a span only from its whole trace: whether a descendant accounts for its usage, and the agent it belongs to. It goes with
-- the day on which the span arrived.
CREATE TABLE IF NOT EXISTS settled  (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    settled_ns UInt64,
    shadowed Bool,
    agent LowCardinality(String),
    day Date
) ENGINE = ReplacingMergeTree(settled_ns)
PARTITION BY day
ORDER BY (trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024;
