DROP TABLE IF EXISTS decoded_logs  SYNC;

-- One row per received log record, the same for protobuf and JSON senders. Nothing is kept.
CREATE TABLE IF NOT EXISTS decoded_logs  (
    arrival_ns UInt64,
    sender String,
    resource_keys Array(LowCardinality(String)),
    resource_texts Array(String),
    resource_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_keys Array(LowCardinality(String)),
    scope_texts Array(String),
    scope_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)),
    ordinal UInt32,
    trace_id String,
    span_id String,
    time_ns UInt64,
    observed_ns UInt64,
    severity_number UInt8,
    severity_text LowCardinality(String),
    event_name LowCardinality(String),
    body String,
    body_type Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4),
    keys Array(LowCardinality(String)),
    texts Array(String),
    types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))
) ENGINE = Null;
