-- The traces that are being deleted.
CREATE TABLE IF NOT EXISTS deleting $on_cluster (
    trace_id String
) ENGINE = Memory
