CREATE MATERIALIZED VIEW IF NOT EXISTS decode_metrics_protobuf $on_cluster TO point_records AS
$decode_metrics_protobuf
