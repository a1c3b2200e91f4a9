-- The rows of ``touched`` that are being settled, while others are added to it.
CREATE TABLE IF NOT EXISTS settling $on_cluster (
    trace_id String,
    minute UInt32$mark
) ENGINE = ${replicated}MergeTree
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
