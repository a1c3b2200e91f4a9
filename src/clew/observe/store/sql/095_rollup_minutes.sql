-- Which minutes the rollups hold: those that were written (rolled_ns) after they were last touched. Made once a store is large enough.
CREATE TABLE IF NOT EXISTS rollup_minutes $on_cluster (
    minute UInt32,
    touched_ns SimpleAggregateFunction(max, UInt64),
    rolled_ns SimpleAggregateFunction(max, UInt64)
) ENGINE = ${replicated}AggregatingMergeTree
ORDER BY minute
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
