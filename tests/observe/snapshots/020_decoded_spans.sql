DROP TABLE IF EXISTS decoded_spans  SYNC;

-- One row per received span, the same for protobuf and JSON senders: ids as hex, each attribute list as keys, texts and types. Nothing is kept.
CREATE TABLE IF NOT EXISTS decoded_spans  (
    arrival_ns UInt64,
    sender String,
    resource_keys Array(LowCardinality(String)),
    resource_texts Array(String),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    trace_id String,
    span_id String,
    parent_span_id String,
    trace_state String,
    name String,
    otel_kind UInt8,
    start_ns UInt64,
    end_ns UInt64,
    keys Array(LowCardinality(String)),
    texts Array(String),
    types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)),
    event_times Array(UInt64),
    event_names Array(LowCardinality(String)),
    event_keys Array(Array(LowCardinality(String))),
    event_texts Array(Array(String)),
    link_trace_ids Array(String),
    link_span_ids Array(String),
    link_keys Array(Array(LowCardinality(String))),
    link_texts Array(Array(String)),
    status_code UInt8,
    status_message String
) ENGINE = Null;
