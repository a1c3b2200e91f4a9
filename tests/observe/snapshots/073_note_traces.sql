DROP VIEW IF EXISTS note_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS note_traces  TO traces AS
SELECT trace_id, min(start_ns) AS first_ns, max(start_ns) AS last_ns FROM normalised_spans GROUP BY trace_id;
