-- Ended spans that arrived again with other content: the later arrival is kept, this says that there was an earlier one.
CREATE TABLE IF NOT EXISTS conflicts  (
    trace_id String,
    span_id String,
    replaced_hash UInt64,
    day Date
) ENGINE = ReplacingMergeTree
PARTITION BY day
ORDER BY (trace_id, span_id, replaced_hash)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
