-- Traces that received spans since the settler last ran, and the minutes in which these start.
CREATE TABLE IF NOT EXISTS touched $on_cluster (
    trace_id String,
    minute UInt32$mark
) ENGINE = ${replicated}MergeTree
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
