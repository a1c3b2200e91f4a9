CREATE MATERIALIZED VIEW IF NOT EXISTS decode_logs_protobuf $on_cluster TO decoded_logs AS
$decode_logs_protobuf
