-- Raw OTLP protobuf bodies end here; nothing is kept, views decode what passes.
CREATE TABLE IF NOT EXISTS landing_traces_protobuf $on_cluster (
    $landing_traces_protobuf
) ENGINE = Null
