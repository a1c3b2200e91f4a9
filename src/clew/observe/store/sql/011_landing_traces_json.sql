-- OTLP/JSON lines end here; nothing is kept, views decode what passes.
CREATE TABLE IF NOT EXISTS landing_traces_json $on_cluster (
    $landing_traces_json
) ENGINE = Null
