-- The rows of ``touched`` that are being settled, while others are added to it.
CREATE TABLE IF NOT EXISTS settling  (
    trace_id String,
    minute UInt32
) ENGINE = MergeTree
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
