DROP VIEW IF EXISTS touch_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS touch_traces  TO touched AS
SELECT DISTINCT trace_id FROM normalised_spans;
