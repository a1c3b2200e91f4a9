DROP VIEW IF EXISTS note_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS note_traces  TO traces AS
SELECT trace_id, min(start_ns) AS first_ns, max(start_ns) AS last_ns, toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC') AS day FROM normalised_spans GROUP BY trace_id, day;
