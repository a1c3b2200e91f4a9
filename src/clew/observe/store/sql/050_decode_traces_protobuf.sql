CREATE MATERIALIZED VIEW IF NOT EXISTS decode_traces_protobuf $on_cluster TO decoded_spans AS
$decode_traces_protobuf
