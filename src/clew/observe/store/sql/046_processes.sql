-- Recording processes that are known to have ended: what they left open is lost. Their spans arrived before that day's end.
CREATE TABLE IF NOT EXISTS processes $on_cluster (
    process String,
    ended_ns UInt64
) ENGINE = ${replicated}ReplacingMergeTree(ended_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(ended_ns)), 'UTC')
ORDER BY process
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
