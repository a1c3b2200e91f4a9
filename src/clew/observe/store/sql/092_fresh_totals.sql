-- Points that came in since the last turn of counting.
CREATE TABLE IF NOT EXISTS fresh_totals $on_cluster (
    name LowCardinality(String),
    series UInt64,
    time_ns UInt64,
    start_ns UInt64
) ENGINE = ${replicated}MergeTree
ORDER BY (name, series, time_ns, start_ns)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
