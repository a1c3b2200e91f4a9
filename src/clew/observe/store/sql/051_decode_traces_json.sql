CREATE MATERIALIZED VIEW IF NOT EXISTS decode_traces_json $on_cluster TO decoded_spans AS
$decode_traces_json
