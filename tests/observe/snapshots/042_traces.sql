-- When the first and the last span of each trace started, of those that arrived on one day: the range of span_records that a trace is in.
CREATE TABLE IF NOT EXISTS traces  (
    trace_id String CODEC(ZSTD(1)),
    first_ns SimpleAggregateFunction(min, UInt64),
    last_ns SimpleAggregateFunction(max, UInt64),
    day Date
) ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024;
