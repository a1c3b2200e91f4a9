-- The traces that are being deleted.
CREATE TABLE IF NOT EXISTS deleting  (
    trace_id String
) ENGINE = Memory;
