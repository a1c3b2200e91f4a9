-- Figures of the spans that start in a minute (or an hour) and agree in their labels, written whole: of a minute the rows of its latest writing count.
-- Made once a store is large enough.
CREATE TABLE IF NOT EXISTS rollups $on_cluster (
    $rollup_columns
) ENGINE = ${replicated}ReplacingMergeTree(rolled_ns)
PRIMARY KEY (level, at)
ORDER BY (level, at, $rollup_key)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
