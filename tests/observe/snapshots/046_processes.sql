-- Recording processes that are known to have ended: what they left open is lost.
CREATE TABLE IF NOT EXISTS processes  (
    process String,
    ended_ns UInt64
) ENGINE = ReplacingMergeTree(ended_ns)
ORDER BY process
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
