-- The same for metrics.
CREATE TABLE IF NOT EXISTS landing_metrics_protobuf $on_cluster (
    $landing_metrics_protobuf
) ENGINE = Null
