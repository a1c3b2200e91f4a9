CREATE MATERIALIZED VIEW IF NOT EXISTS touch_traces $on_cluster TO touched AS
SELECT DISTINCT trace_id, $minute AS minute FROM normalised_spans
