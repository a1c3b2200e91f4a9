-- Points of metrics. A point is its series (program, instrumentation, metric and attributes) and its time; a later arrival replaces an earlier one.
CREATE TABLE IF NOT EXISTS point_records $on_cluster (
    $point_columns
) ENGINE = ${replicated}ReplacingMergeTree(arrival_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (name, series, time_ns, start_ns)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
