DROP VIEW IF EXISTS touch_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS touch_traces  TO touched AS
SELECT DISTINCT trace_id, toUInt32(intDiv(start_ns, 60000000000)) AS minute FROM normalised_spans;
