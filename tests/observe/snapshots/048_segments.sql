-- How far each spool segment has been taken in.
CREATE TABLE IF NOT EXISTS segments  (
    name String,
    taken_bytes UInt64,
    taken_ns UInt64
) ENGINE = ReplacingMergeTree(taken_ns)
ORDER BY name
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
