-- The same for metrics in OTLP/JSON.
CREATE TABLE IF NOT EXISTS landing_metrics_json $on_cluster (
    $landing_metrics_json
) ENGINE = Null
