CREATE MATERIALIZED VIEW IF NOT EXISTS normalise_spans $on_cluster TO normalised_spans AS
$normalise_spans
