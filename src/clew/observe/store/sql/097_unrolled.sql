-- Rows like those of rollups for minutes that are stale, made of their spans once for all questions of one moment.
CREATE TABLE IF NOT EXISTS unrolled $on_cluster (
    made_ns UInt64,
    $unrolled_columns
) ENGINE = Memory
