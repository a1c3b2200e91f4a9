CREATE MATERIALIZED VIEW IF NOT EXISTS note_traces $on_cluster TO traces AS
SELECT trace_id, min(start_ns) AS first_ns, max(start_ns) AS last_ns, $day AS day FROM normalised_spans GROUP BY trace_id, day
