-- The same for log records.
CREATE TABLE IF NOT EXISTS landing_logs_protobuf $on_cluster (
    $landing_logs_protobuf
) ENGINE = Null
