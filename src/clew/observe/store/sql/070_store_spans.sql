CREATE MATERIALIZED VIEW IF NOT EXISTS store_spans $on_cluster TO span_records AS
SELECT $span_column_names FROM normalised_spans
