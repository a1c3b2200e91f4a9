-- The same for log records in OTLP/JSON.
CREATE TABLE IF NOT EXISTS landing_logs_json $on_cluster (
    $landing_logs_json
) ENGINE = Null
