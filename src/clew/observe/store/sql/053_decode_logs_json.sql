CREATE MATERIALIZED VIEW IF NOT EXISTS decode_logs_json $on_cluster TO decoded_logs AS
$decode_logs_json
