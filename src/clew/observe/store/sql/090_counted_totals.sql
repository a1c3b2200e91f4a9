-- Spans, points and corrections that are in metric_totals, and since which turn: each is counted once. Made when metrics are first asked for.
CREATE TABLE IF NOT EXISTS counted_totals $on_cluster (
    trace UInt64,
    span UInt64,
    turn UInt64 CODEC(Delta, ZSTD(1)),
    day Date
) ENGINE = ${replicated}ReplacingMergeTree(turn)
PARTITION BY day
ORDER BY (trace, span)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
