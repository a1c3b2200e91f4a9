-- Traces that received spans since the settler last ran.
CREATE TABLE IF NOT EXISTS touched  (
    trace_id String
) ENGINE = MergeTree
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
