DROP TABLE IF EXISTS landing_traces_json  SYNC;

-- OTLP/JSON lines end here; nothing is kept, views decode what passes.
CREATE TABLE IF NOT EXISTS landing_traces_json  (
    resourceSpans Array(Tuple(resource Tuple(attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32), scopeSpans Array(Tuple(scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32), spans Array(Tuple(traceId String, spanId String, traceState String, parentSpanId String, name String, kind String, startTimeUnixNano UInt64, endTimeUnixNano UInt64, attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32, events Array(Tuple(timeUnixNano UInt64, name String, attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32)), droppedEventsCount UInt32, links Array(Tuple(traceId String, spanId String, traceState String, attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32, flags UInt32)), droppedLinksCount UInt32, status Tuple(message String, code String), flags UInt32)), schemaUrl String)), schemaUrl String)),
    arrivalTimeUnixNano UInt64,
    sender String
) ENGINE = Null;

DROP TABLE IF EXISTS landing_logs_json  SYNC;

-- The same for log records in OTLP/JSON.
CREATE TABLE IF NOT EXISTS landing_logs_json  (
    resourceLogs Array(Tuple(resource Tuple(attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32), scopeLogs Array(Tuple(scope Tuple(name String, version String, attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32), logRecords Array(Tuple(timeUnixNano UInt64, severityNumber String, severityText String, body Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)), attributes Array(Tuple(key String, value Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String), arrayValue Tuple(values Array(Tuple(stringValue Nullable(String), boolValue Nullable(Bool), intValue Nullable(Int64), doubleValue Nullable(Float64), bytesValue Nullable(String)))), jsonValue Nullable(String)))), droppedAttributesCount UInt32, flags UInt32, traceId String, spanId String, observedTimeUnixNano UInt64, eventName String)), schemaUrl String)), schemaUrl String)),
    arrivalTimeUnixNano UInt64,
    sender String
) ENGINE = Null;

DROP TABLE IF EXISTS decoded_spans  SYNC;

-- One row per received span, the same for protobuf and JSON senders: ids as hex, each attribute list as keys, texts and types. Nothing is kept.
CREATE TABLE IF NOT EXISTS decoded_spans  (
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
    event_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))),
    link_trace_ids Array(String),
    link_span_ids Array(String),
    link_keys Array(Array(LowCardinality(String))),
    link_texts Array(Array(String)),
    link_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))),
    status_code UInt8,
    status_message String
) ENGINE = Null;

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

DROP TABLE IF EXISTS normalised_spans  SYNC;

-- One row per received span with its normalised columns; content is still beside it, in arrays. Nothing is kept.
CREATE TABLE IF NOT EXISTS normalised_spans  (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    retired UInt8,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    kind Enum8('workflow' = 0, 'node' = 1, 'agent' = 2, 'llm' = 3, 'tool' = 4, 'decision' = 5, 'message' = 6, 'memory' = 7, 'retrieval' = 8, 'embedding' = 9, 'git' = 10, 'task' = 11, 'execution' = 12, 'gate' = 13, 'evaluation' = 14, 'other' = 15),
    name LowCardinality(String),
    service LowCardinality(String),
    process LowCardinality(String),
    status Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    status_message String CODEC(ZSTD(1)),
    start_ns UInt64 CODEC(Delta, ZSTD(1)),
    end_ns UInt64 CODEC(Delta, ZSTD(1)),
    content_hash UInt64 CODEC(NONE),
    otel_kind UInt8,
    trace_state String CODEC(ZSTD(1)),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    sender LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    provider LowCardinality(String),
    agent LowCardinality(String),
    workflow LowCardinality(String),
    persona LowCardinality(String),
    session_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    tool LowCardinality(String),
    tool_call_id String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_tokens Nullable(UInt64),
    cache_write_1h_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    audio_input_tokens Nullable(UInt64),
    audio_output_tokens Nullable(UInt64),
    reported_cost_usd Nullable(Float64),
    cache_hit Bool,
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    contents Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),
    content_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    event_times Array(UInt64) CODEC(ZSTD(1)),
    event_names Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_attributes Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    event_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))) CODEC(ZSTD(1)),
    link_trace_ids Array(String) CODEC(ZSTD(1)),
    link_span_ids Array(String) CODEC(ZSTD(1)),
    link_attributes Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    link_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))) CODEC(ZSTD(1)),
    content_keys Array(LowCardinality(String)),
    content_texts Array(String),
    content_hashes Array(UInt64),
    content_restates Array(Bool)
) ENGINE = Null;

-- Spans: structure, normalised columns, short attributes. Content is in payloads, by hash. In the order of time, to the second: the newest are
-- read first and lie together. Two versions of a span that start in different seconds do not replace each other here: the settler retires one.
CREATE TABLE IF NOT EXISTS span_records  (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    parent_span_id String CODEC(ZSTD(1)),
    version UInt64 CODEC(Delta, ZSTD(1)),
    retired UInt8,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    kind Enum8('workflow' = 0, 'node' = 1, 'agent' = 2, 'llm' = 3, 'tool' = 4, 'decision' = 5, 'message' = 6, 'memory' = 7, 'retrieval' = 8, 'embedding' = 9, 'git' = 10, 'task' = 11, 'execution' = 12, 'gate' = 13, 'evaluation' = 14, 'other' = 15),
    name LowCardinality(String),
    service LowCardinality(String),
    process LowCardinality(String),
    status Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    status_message String CODEC(ZSTD(1)),
    start_ns UInt64 CODEC(Delta, ZSTD(1)),
    end_ns UInt64 CODEC(Delta, ZSTD(1)),
    content_hash UInt64 CODEC(NONE),
    otel_kind UInt8,
    trace_state String CODEC(ZSTD(1)),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    sender LowCardinality(String),
    request_model LowCardinality(String),
    response_model LowCardinality(String),
    provider LowCardinality(String),
    agent LowCardinality(String),
    workflow LowCardinality(String),
    persona LowCardinality(String),
    session_id String CODEC(ZSTD(1)),
    user_id String CODEC(ZSTD(1)),
    tool LowCardinality(String),
    tool_call_id String CODEC(ZSTD(1)),
    error_type LowCardinality(String),
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_tokens Nullable(UInt64),
    cache_write_1h_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    audio_input_tokens Nullable(UInt64),
    audio_output_tokens Nullable(UInt64),
    reported_cost_usd Nullable(Float64),
    cache_hit Bool,
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    resource_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    contents Map(LowCardinality(String), UInt64) CODEC(ZSTD(1)),
    content_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    event_times Array(UInt64) CODEC(ZSTD(1)),
    event_names Array(LowCardinality(String)) CODEC(ZSTD(1)),
    event_attributes Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    event_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))) CODEC(ZSTD(1)),
    link_trace_ids Array(String) CODEC(ZSTD(1)),
    link_span_ids Array(String) CODEC(ZSTD(1)),
    link_attributes Array(Map(LowCardinality(String), String)) CODEC(ZSTD(1)),
    link_types Array(Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4))) CODEC(ZSTD(1)),
    INDEX attribute_values arrayMap((k, v) -> concat(k, '=', v), mapKeys(attributes), mapValues(attributes)) TYPE text(tokenizer = 'array', posting_list_codec = 'bitpacking'),
    INDEX traces trace_id TYPE bloom_filter(0.0005) GRANULARITY 1
) ENGINE = ReplacingMergeTree(version, retired)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (intDiv(start_ns, 1000000000), trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024, min_bytes_for_wide_part = 134217728;

-- Content: each distinct value once per trace. A value that only restates messages of its own span is kept and not indexed.
CREATE TABLE IF NOT EXISTS payloads  (
    trace_id String CODEC(ZSTD(1)),
    hash UInt64,
    indexed Bool,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    value String CODEC(ZSTD(3, 24)) SETTINGS (min_compress_block_size = 4194304, max_compress_block_size = 16777216),
    INDEX words if(indexed, value, '') TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(if(indexed, value, '')), posting_list_codec = 'bitpacking', dictionary_block_size = 4096)
) ENGINE = ReplacingMergeTree(indexed)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (trace_id, hash)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- Traces that received spans since the settler last ran, and the minutes in which these start.
CREATE TABLE IF NOT EXISTS touched  (
    trace_id String,
    minute UInt32
) ENGINE = MergeTree
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- When the first and the last span of each trace started, of those that arrived on one day: the range of span_records that a trace is in.
CREATE TABLE IF NOT EXISTS traces  (
    trace_id String CODEC(ZSTD(1)),
    first_ns SimpleAggregateFunction(min, UInt64),
    last_ns SimpleAggregateFunction(max, UInt64),
    day Date
) ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY trace_id
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024;

-- Log records. A record has no id of its own: it is what it says, and its number among equal ones of its batch. In the
-- order of time, to the second, as spans are: the newest are read first and lie together; the exact time is part of the content.
CREATE TABLE IF NOT EXISTS log_records  (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    time_ns UInt64 CODEC(Delta, ZSTD(1)),
    content_hash UInt64 CODEC(NONE),
    ordinal UInt32,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    sender LowCardinality(String),
    service LowCardinality(String),
    process LowCardinality(String),
    scope_name LowCardinality(String),
    severity_number UInt8,
    severity_text LowCardinality(String),
    event_name LowCardinality(String),
    body String CODEC(ZSTD(3, 24)),
    body_type Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    attribute_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    scope_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    resource_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(1)),
    INDEX traces trace_id TYPE bloom_filter(0.0005) GRANULARITY 1
) ENGINE = ReplacingMergeTree(arrival_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (intDiv(time_ns, 1000000000), trace_id, content_hash, ordinal)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024;

-- Points of metrics. A point is its series (program, instrumentation, metric and attributes) and its time; a later arrival replaces an earlier one.
CREATE TABLE IF NOT EXISTS point_records  (
    name LowCardinality(String),
    series UInt64 CODEC(ZSTD(1)),
    time_ns UInt64 CODEC(Delta, ZSTD(1)),
    start_ns UInt64 CODEC(Delta, ZSTD(1)),
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    sender LowCardinality(String),
    kind Enum8('gauge' = 0, 'sum' = 1, 'histogram' = 2, 'exponential_histogram' = 3, 'summary' = 4),
    unit LowCardinality(String),
    description LowCardinality(String),
    temporality Enum8('unspecified' = 0, 'delta' = 1, 'cumulative' = 2),
    is_monotonic Bool,
    service LowCardinality(String),
    process LowCardinality(String),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    scope_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(3)),
    flags UInt32,
    value Nullable(Float64),
    int_value Nullable(Int64),
    count Nullable(UInt64),
    sum Nullable(Float64),
    min Nullable(Float64),
    max Nullable(Float64),
    bounds Array(Float64),
    counts Array(UInt64),
    scale Int32,
    zero_count UInt64,
    zero_threshold Float64,
    positive_offset Int32,
    positive_counts Array(UInt64),
    negative_offset Int32,
    negative_counts Array(UInt64),
    quantiles Array(Float64),
    quantile_values Array(Float64),
    exemplar_times Array(UInt64) CODEC(ZSTD(3)),
    exemplar_values Array(Float64) CODEC(ZSTD(3)),
    exemplar_trace_ids Array(String) CODEC(ZSTD(3)),
    exemplar_span_ids Array(String) CODEC(ZSTD(3)),
    exemplar_attributes Array(Map(LowCardinality(String), String)) CODEC(ZSTD(3)),
    resource Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    resource_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(3)),
    attributes Map(LowCardinality(String), String) CODEC(ZSTD(3)),
    attribute_types Array(Enum8('string' = 0, 'int' = 1, 'double' = 2, 'bool' = 3, 'json' = 4)) CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(arrival_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (name, series, time_ns, start_ns)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- What is known of a span only from its whole trace: whether a descendant accounts for its usage, and the agent it belongs to. It goes with
-- the day on which the span arrived.
CREATE TABLE IF NOT EXISTS settled  (
    trace_id String CODEC(ZSTD(1)),
    span_id String CODEC(ZSTD(1)),
    settled_ns UInt64,
    shadowed Bool,
    agent LowCardinality(String),
    day Date
) ENGINE = ReplacingMergeTree(settled_ns)
PARTITION BY day
ORDER BY (trace_id, span_id)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '', index_granularity = 1024;

-- Ended spans that arrived again with other content: the later arrival is kept, this says that there was an earlier one.
CREATE TABLE IF NOT EXISTS conflicts  (
    trace_id String,
    span_id String,
    replaced_hash UInt64,
    day Date
) ENGINE = ReplacingMergeTree
PARTITION BY day
ORDER BY (trace_id, span_id, replaced_hash)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- Recording processes that are known to have ended: what they left open is lost. Their spans arrived before that day's end.
CREATE TABLE IF NOT EXISTS processes  (
    process String,
    ended_ns UInt64
) ENGINE = ReplacingMergeTree(ended_ns)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(ended_ns)), 'UTC')
ORDER BY process
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- Prices for the models that occur. Most have one price at all times: it is in flat, one figure per class of tokens, USD per
-- million. The others have rules: the last one that is active at the call's start holds. Neither: no price is known.
CREATE TABLE IF NOT EXISTS prices  (
    provider String,
    request_model String,
    response_model String,
    resolved_ns UInt64,
    matched String,
    source LowCardinality(String),
    fingerprint LowCardinality(String),
    flat Array(Float64),
    rules Array(Tuple(
        starts_s Int64,
        day_from_s UInt32,
        day_to_s UInt32,
        per_million Array(Array(Tuple(above UInt64, usd Float64)))
    ))
) ENGINE = ReplacingMergeTree(resolved_ns)
ORDER BY (provider, request_model, response_model)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- How far each spool segment has been taken in.
CREATE TABLE IF NOT EXISTS segments  (
    name String,
    taken_bytes UInt64,
    taken_ns UInt64
) ENGINE = ReplacingMergeTree(taken_ns)
ORDER BY name
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';

-- The traces that are being deleted.
CREATE TABLE IF NOT EXISTS deleting  (
    trace_id String
) ENGINE = Memory;

-- What the settler has just decided, on its way into settled.
CREATE TABLE IF NOT EXISTS verdicts  (
    id UInt64,
    shadowed Bool,
    owner UInt64
) ENGINE = Memory;

DROP VIEW IF EXISTS decode_traces_json  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_traces_json  TO decoded_spans AS
WITH v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')) AS text_of,
    v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json') AS type_of
SELECT
    arrival_ns,
    sender,
    resource_keys,
    resource_texts,
    resource_types,
    scope.scope.name AS scope_name,
    scope.scope.version AS scope_version,
    scope.scope.attributes.key AS scope_keys,
    arrayMap(text_of, scope.scope.attributes.value) AS scope_texts,
    arrayMap(type_of, scope.scope.attributes.value) AS scope_types,
    lower(r.traceId) AS trace_id,
    lower(r.spanId) AS span_id,
    lower(r.parentSpanId) AS parent_span_id,
    r.traceState AS trace_state,
    r.name AS name,
    transform(r.kind, ['0', '1', '2', '3', '4', '5', 'SPAN_KIND_UNSPECIFIED', 'SPAN_KIND_INTERNAL', 'SPAN_KIND_SERVER', 'SPAN_KIND_CLIENT', 'SPAN_KIND_PRODUCER', 'SPAN_KIND_CONSUMER'], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], 0) AS otel_kind,
    r.startTimeUnixNano AS start_ns,
    r.endTimeUnixNano AS end_ns,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types,
    r.events.timeUnixNano AS event_times,
    r.events.name AS event_names,
    arrayMap(x -> x.attributes.key, r.events) AS event_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.events) AS event_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.events) AS event_types,
    arrayMap(x -> lower(x.traceId), r.links) AS link_trace_ids,
    arrayMap(x -> lower(x.spanId), r.links) AS link_span_ids,
    arrayMap(x -> x.attributes.key, r.links) AS link_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.links) AS link_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.links) AS link_types,
    transform(r.status.code, ['0', '1', '2', 'STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR'], [0, 1, 2, 0, 1, 2], 0) AS status_code,
    r.status.message AS status_message
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, arrayJoin(scope.spans) AS r
    FROM (
        SELECT
            arrival_ns,
            sender,
            group.resource.attributes.key AS resource_keys,
            arrayMap(text_of, group.resource.attributes.value) AS resource_texts,
            arrayMap(type_of, group.resource.attributes.value) AS resource_types,
            arrayJoin(group.scopeSpans) AS scope
        FROM (
            SELECT arrivalTimeUnixNano AS arrival_ns, sender, arrayJoin(resourceSpans) AS group
            FROM landing_traces_json
        )
    )
);

DROP VIEW IF EXISTS decode_logs_json  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_logs_json  TO decoded_logs AS
WITH v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')) AS text_of,
    v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json') AS type_of
SELECT
    arrival_ns,
    sender,
    resource_keys,
    resource_texts,
    resource_types,
    scope.scope.name AS scope_name,
    scope.scope.version AS scope_version,
    scope.scope.attributes.key AS scope_keys,
    arrayMap(text_of, scope.scope.attributes.value) AS scope_texts,
    arrayMap(type_of, scope.scope.attributes.value) AS scope_types,
    ordinal,
    lower(r.traceId) AS trace_id,
    lower(r.spanId) AS span_id,
    r.timeUnixNano AS time_ns,
    r.observedTimeUnixNano AS observed_ns,
    transform(r.severityNumber, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15', '16', '17', '18', '19', '20', '21', '22', '23', '24', 'SEVERITY_NUMBER_UNSPECIFIED', 'SEVERITY_NUMBER_TRACE', 'SEVERITY_NUMBER_TRACE2', 'SEVERITY_NUMBER_TRACE3', 'SEVERITY_NUMBER_TRACE4', 'SEVERITY_NUMBER_DEBUG', 'SEVERITY_NUMBER_DEBUG2', 'SEVERITY_NUMBER_DEBUG3', 'SEVERITY_NUMBER_DEBUG4', 'SEVERITY_NUMBER_INFO', 'SEVERITY_NUMBER_INFO2', 'SEVERITY_NUMBER_INFO3', 'SEVERITY_NUMBER_INFO4', 'SEVERITY_NUMBER_WARN', 'SEVERITY_NUMBER_WARN2', 'SEVERITY_NUMBER_WARN3', 'SEVERITY_NUMBER_WARN4', 'SEVERITY_NUMBER_ERROR', 'SEVERITY_NUMBER_ERROR2', 'SEVERITY_NUMBER_ERROR3', 'SEVERITY_NUMBER_ERROR4', 'SEVERITY_NUMBER_FATAL', 'SEVERITY_NUMBER_FATAL2', 'SEVERITY_NUMBER_FATAL3', 'SEVERITY_NUMBER_FATAL4'], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24], 0) AS severity_number,
    r.severityText AS severity_text,
    r.eventName AS event_name,
    arrayMap(text_of, [r.body])[1] AS body,
    arrayMap(type_of, [r.body])[1] AS body_type,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, arrayJoin(arrayZip(scope.logRecords, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.logRecords)))).1 AS r, arrayJoin(arrayZip(scope.logRecords, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.logRecords)))).2 AS ordinal
    FROM (
        SELECT
            arrival_ns,
            sender,
            group.resource.attributes.key AS resource_keys,
            arrayMap(text_of, group.resource.attributes.value) AS resource_texts,
            arrayMap(type_of, group.resource.attributes.value) AS resource_types,
            arrayJoin(group.scopeLogs) AS scope
        FROM (
            SELECT arrivalTimeUnixNano AS arrival_ns, sender, arrayJoin(resourceLogs) AS group
            FROM landing_logs_json
        )
    )
);

DROP VIEW IF EXISTS normalise_spans  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS normalise_spans  TO normalised_spans AS
SELECT
    trace_id,
    span_id,
    parent_span_id,
    bitOr(bitShiftLeft(toUInt64(end_ns > 0), 63), arrival_ns) AS version,
    toUInt8(0) AS retired,
    arrival_ns,
    if(empty(known_kinds), multiIf(has(found_codes, 641), 'tool', has(found_codes, 577), 'tool', has(found_codes, 259), 'agent', has(found_codes, 65), 'llm', 'other'), known_kinds[1]) AS kind,
    name,
    resource_texts[indexOf(resource_keys, 'service.name')] AS service,
    resource_texts[indexOf(resource_keys, 'service.instance.id')] AS process,
    status_code AS status,
    status_message,
    start_ns,
    end_ns,
    cityHash64(parent_span_id, name, otel_kind, start_ns, end_ns, keys, texts, event_names, event_texts, link_span_ids, status_code, status_message) AS content_hash,
    otel_kind,
    trace_state,
    scope_name,
    scope_version,
    sender,
    found[indexOf(slots, 1)] AS request_model,
    found[indexOf(slots, 2)] AS response_model,
    found[indexOf(slots, 3)] AS provider,
    found[indexOf(slots, 4)] AS agent,
    found[indexOf(slots, 5)] AS workflow,
    found[indexOf(slots, 6)] AS persona,
    found[indexOf(slots, 7)] AS session_id,
    found[indexOf(slots, 8)] AS user_id,
    found[indexOf(slots, 9)] AS tool,
    found[indexOf(slots, 10)] AS tool_call_id,
    found[indexOf(slots, 11)] AS error_type,
    if(isNull(given_input_tokens) OR ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0) <= assumeNotNull(given_input_tokens), given_input_tokens, given_input_tokens + ifNull(cache_read_tokens, 0) + ifNull(cache_write_tokens, 0)) AS input_tokens,
    if(isNull(given_output_tokens) OR ifNull(reasoning_tokens, 0) <= assumeNotNull(given_output_tokens), given_output_tokens, given_output_tokens + ifNull(reasoning_tokens, 0)) AS output_tokens,
    cache_read_tokens,
    cache_write_tokens,
    cache_write_1h_tokens,
    reasoning_tokens,
    audio_input_tokens,
    audio_output_tokens,
    toFloat64OrNull(found[indexOf(slots, 20)]) AS reported_cost_usd,
    found[indexOf(slots, 21)] IN ('true', '1') AS cache_hit,
    mapFromArrays(scope_keys, scope_texts) AS scope_attributes,
    scope_types,
    mapFromArrays(resource_keys, resource_texts) AS resource,
    resource_types,
    mapFromArrays(arrayFilter((k, c) -> NOT c, keys, is_content), arrayFilter((v, c) -> NOT c, texts, is_content)) AS attributes,
    arrayFilter((t, c) -> NOT c, types, is_content) AS attribute_types,
    mapFromArrays(content_keys, content_hashes) AS contents,
    arrayFilter((t, c) -> c, types, is_content) AS content_types,
    event_times,
    event_names,
    arrayMap((k, v) -> mapFromArrays(k, v), event_keys, event_texts) AS event_attributes,
    event_types,
    link_trace_ids,
    link_span_ids,
    arrayMap((k, v) -> mapFromArrays(k, v), link_keys, link_texts) AS link_attributes,
    link_types,
    content_keys,
    content_texts,
    content_hashes,
    content_restates
FROM (SELECT *, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 12)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 12)]), 'UInt64')), NULL) AS given_input_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 13)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 13)]), 'UInt64')), NULL) AS given_output_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 14)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 14)]), 'UInt64')), NULL) AS cache_read_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 15)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 15)]), 'UInt64')), NULL) AS cache_write_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 16)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 16)]), 'UInt64')), NULL) AS cache_write_1h_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 17)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 17)]), 'UInt64')), NULL) AS reasoning_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 18)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 18)]), 'UInt64')), NULL) AS audio_input_tokens, if(has_usage, coalesce(toUInt64OrNull(found[indexOf(slots, 19)]), accurateCastOrNull(toFloat64OrNull(found[indexOf(slots, 19)]), 'UInt64')), NULL) AS audio_output_tokens
FROM (SELECT *, hasAny(slots, [12, 13, 14, 15, 16, 17, 18, 19]) AS has_usage
FROM (SELECT *, arrayMap(c -> intDiv(c, 64), found_codes) AS slots, arrayFilter(k -> k != '', arrayMap((c, t) -> if(c < 64, transform(concat(toString(c), ':', lower(t)), ['1:workflow', '1:node', '1:agent', '1:llm', '1:tool', '1:decision', '1:message', '1:memory', '1:retrieval', '1:embedding', '1:git', '1:task', '1:execution', '1:gate', '1:evaluation', '1:other', '2:llm', '2:embedding', '2:chain', '2:retriever', '2:reranker', '2:tool', '2:agent', '2:guardrail', '2:evaluator', '2:prompt', '2:unknown', '3:chat', '3:generate_content', '3:text_completion', '3:completion', '3:embeddings', '3:retrieval', '3:execute_tool', '3:create_agent', '3:invoke_agent', '3:invoke_workflow', '3:plan', '3:create_memory_store', '3:delete_memory_store', '3:search_memory', '3:create_memory', '3:update_memory', '3:upsert_memory', '3:delete_memory', '4:workflow', '4:task', '4:agent', '4:tool', '5:chat', '5:completion', '5:embedding', '5:rerank', '6:generation', '6:embedding', '6:agent', '6:tool', '6:chain', '6:retriever', '6:evaluator', '6:guardrail', '6:span', '6:event', '7:ai.generatetext', '7:ai.streamtext', '7:ai.generateobject', '7:ai.streamobject', '7:ai.generatetext.dogenerate', '7:ai.streamtext.dostream', '7:ai.generateobject.dogenerate', '7:ai.streamobject.dostream', '7:ai.embed', '7:ai.embedmany', '7:ai.embed.doembed', '7:ai.embedmany.doembed', '7:ai.toolcall', '8:llm', '8:chat_model', '8:embedding', '8:chain', '8:agent', '8:tool', '8:retriever', '8:reranker', '8:parser', '8:memory', '8:workflow', '8:task', '8:guardrail', '8:evaluator'], ['workflow', 'node', 'agent', 'llm', 'tool', 'decision', 'message', 'memory', 'retrieval', 'embedding', 'git', 'task', 'execution', 'gate', 'evaluation', 'other', 'llm', 'embedding', 'node', 'retrieval', 'retrieval', 'tool', 'agent', 'gate', 'evaluation', 'other', 'other', 'llm', 'llm', 'llm', 'llm', 'embedding', 'retrieval', 'tool', 'agent', 'agent', 'workflow', 'decision', 'memory', 'memory', 'memory', 'memory', 'memory', 'memory', 'memory', 'workflow', 'task', 'agent', 'tool', 'llm', 'llm', 'embedding', 'retrieval', 'llm', 'embedding', 'agent', 'tool', 'node', 'retrieval', 'evaluation', 'gate', 'other', 'message', 'node', 'node', 'node', 'node', 'llm', 'llm', 'llm', 'llm', 'node', 'node', 'embedding', 'embedding', 'tool', 'llm', 'llm', 'embedding', 'node', 'agent', 'tool', 'retrieval', 'retrieval', 'other', 'memory', 'workflow', 'task', 'gate', 'evaluation'], ''), ''), found_codes, found)) AS known_kinds, arrayMap(v -> xxh3(v), content_texts) AS content_hashes, arrayMap(k -> (k = 'input.value' AND arrayExists(o -> startsWith(o, 'llm.input_messages.'), keys)) OR (k = 'output.value' AND arrayExists(o -> startsWith(o, 'llm.output_messages.'), keys)), content_keys) AS content_restates
FROM (SELECT *, arraySort((v, c) -> c, arrayFilter((v, f) -> f, texts, is_found), arrayFilter((c, f) -> f, codes, is_found)) AS found, arraySort(arrayFilter((c, f) -> f, codes, is_found)) AS found_codes, arrayFilter((k, c) -> c, keys, is_content) AS content_keys, arrayFilter((v, c) -> c, texts, is_content) AS content_texts
FROM (SELECT *, arrayMap((c, v) -> c BETWEEN 1 AND 1407 AND notEmpty(v), codes, texts) AS is_found, arrayMap((k, v, c) -> length(v) > 256 OR c = 1408 OR (c = 0 AND match(k, '^(llm\\.(input|output)_messages\\.\\d+\\.message\\.(content|contents\\..*|tool_calls\\..*arguments|function_call_arguments_json)|llm\\.(prompts|choices|tools)\\..*|gen_ai\\.(prompt|completion)\\.\\d+\\.(content|tool_calls\\..*arguments)|(retrieval|reranker\\.\\w+)\\.?documents\\.\\d+\\.document\\.(content|metadata)|embedding\\.embeddings\\..*)$')), keys, texts, codes) AS is_content
FROM (SELECT *, arrayMap(k -> toUInt16(transform(k, ['gen_ai.system_instructions', 'gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.tool.definitions', 'gen_ai.tool.call.arguments', 'gen_ai.tool.call.result', 'clew.input', 'clew.output', 'clew.decision.question', 'clew.decision.options', 'clew.decision.reason', 'gen_ai.evaluation.explanation', 'input.value', 'output.value', 'gen_ai.prompt', 'gen_ai.completion', 'tool_arguments', 'tool_response', 'gcp.vertex.agent.tool_call_args', 'gcp.vertex.agent.tool_response', 'tool.description', 'tool.parameters', 'tool.json_schema', 'llm.invocation_parameters', 'llm.prompt_template.template', 'traceloop.entity.input', 'traceloop.entity.output', 'langfuse.observation.input', 'langfuse.observation.output', 'langfuse.trace.input', 'langfuse.trace.output', 'ai.prompt', 'ai.prompt.messages', 'ai.prompt.tools', 'ai.response.text', 'ai.response.object', 'ai.response.toolCalls', 'ai.toolCall.args', 'ai.toolCall.result', 'mlflow.spanInputs', 'mlflow.spanOutputs', 'all_messages_events', 'pydantic_ai.all_messages', 'events', 'final_result', 'clew.span.kind', 'openinference.span.kind', 'gen_ai.operation.name', 'traceloop.span.kind', 'llm.request.type', 'langfuse.observation.type', 'ai.operationId', 'mlflow.spanType', 'gen_ai.request.model', 'llm.request.model_name', 'llm.request.model', 'llm.model_name', 'ai.model.id', 'langfuse.observation.model.name', 'mlflow.llm.model', 'gen_ai.response.model', 'llm.response.model_name', 'llm.response.model', 'ai.response.model', 'gen_ai.provider.name', 'gen_ai.system', 'llm.provider', 'llm.system', 'ai.model.provider', 'llm.vendor', 'mlflow.llm.provider', 'gen_ai.agent.name', 'agent.name', 'agent_name', 'graph.node.name', 'traceloop.entity.agent', 'gen_ai.workflow.name', 'traceloop.workflow.name', 'clew.persona', 'gen_ai.conversation.id', 'session.id', 'langfuse.session.id', 'traceloop.association.properties.session_id', 'mlflow.trace.session', 'ai.telemetry.metadata.sessionId', 'user.id', 'enduser.id', 'langfuse.user.id', 'traceloop.association.properties.user_id', 'mlflow.trace.user', 'ai.telemetry.metadata.userId', 'gen_ai.tool.name', 'tool.name', 'ai.toolCall.name', 'traceloop.entity.tool', 'gen_ai.tool.call.id', 'tool.id', 'tool_call.id', 'ai.toolCall.id', 'error.type', 'exception.type', 'gen_ai.usage.input_tokens', 'gen_ai.usage.prompt_tokens', 'llm.token_count.prompt', 'llm.usage.prompt_tokens', 'ai.usage.promptTokens', 'ai.usage.inputTokens', 'gen_ai.usage.output_tokens', 'gen_ai.usage.completion_tokens', 'llm.token_count.completion', 'llm.usage.completion_tokens', 'ai.usage.completionTokens', 'ai.usage.outputTokens', 'gen_ai.usage.cache_read.input_tokens', 'llm.token_count.prompt_details.cache_read', 'llm.token_count.prompt_details.cache_input', 'gen_ai.usage.cache_read_input_tokens', 'gen_ai.usage.details.cache_read_tokens', 'gen_ai.usage.details.cached_tokens', 'ai.usage.cachedInputTokens', 'gen_ai.usage.cache_creation.input_tokens', 'gen_ai.usage.cache_write.input_tokens', 'llm.token_count.prompt_details.cache_write', 'gen_ai.usage.cache_creation_input_tokens', 'gen_ai.usage.details.cache_write_tokens', 'clew.usage.cache_write_1h.input_tokens', 'gen_ai.usage.reasoning.output_tokens', 'llm.token_count.completion_details.reasoning', 'gen_ai.usage.reasoning_tokens', 'gen_ai.usage.details.reasoning_tokens', 'gen_ai.usage.details.thoughts_tokens', 'ai.usage.reasoningTokens', 'clew.usage.audio.input_tokens', 'gen_ai.usage.audio.input_tokens', 'llm.token_count.prompt_details.audio', 'gen_ai.usage.details.input_audio_tokens', 'clew.usage.audio.output_tokens', 'gen_ai.usage.audio.output_tokens', 'llm.token_count.completion_details.audio', 'gen_ai.usage.details.output_audio_tokens', 'clew.cost.usd', 'gen_ai.usage.cost.amount', 'gen_ai.usage.cost', 'llm.cost.total', 'operation.cost', 'clew.cache.hit'], [1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1408, 1, 2, 3, 4, 5, 6, 7, 8, 65, 66, 67, 68, 69, 70, 71, 129, 130, 131, 132, 193, 194, 195, 196, 197, 198, 199, 257, 258, 259, 260, 261, 321, 322, 385, 449, 450, 451, 452, 453, 454, 513, 514, 515, 516, 517, 518, 577, 578, 579, 580, 641, 642, 643, 644, 705, 706, 769, 770, 771, 772, 773, 774, 833, 834, 835, 836, 837, 838, 897, 898, 899, 900, 901, 902, 903, 961, 962, 963, 964, 965, 1025, 1089, 1090, 1091, 1092, 1093, 1094, 1153, 1154, 1155, 1156, 1217, 1218, 1219, 1220, 1281, 1282, 1283, 1284, 1285, 1345], 0)), keys) AS codes
FROM decoded_spans))))));

DROP VIEW IF EXISTS store_spans  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_spans  TO span_records AS
SELECT trace_id, span_id, parent_span_id, version, retired, arrival_ns, kind, name, service, process, status, status_message, start_ns, end_ns, content_hash, otel_kind, trace_state, scope_name, scope_version, sender, request_model, response_model, provider, agent, workflow, persona, session_id, user_id, tool, tool_call_id, error_type, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, reported_cost_usd, cache_hit, scope_attributes, scope_types, resource, resource_types, attributes, attribute_types, contents, content_types, event_times, event_names, event_attributes, event_types, link_trace_ids, link_span_ids, link_attributes, link_types FROM normalised_spans;

DROP VIEW IF EXISTS store_payloads  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_payloads  TO payloads AS
SELECT trace_id, hash, NOT restates AS indexed, arrival_ns, value
FROM normalised_spans
ARRAY JOIN content_texts AS value, content_hashes AS hash, content_restates AS restates
LIMIT 1 BY trace_id, hash, restates;

DROP VIEW IF EXISTS touch_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS touch_traces  TO touched AS
SELECT DISTINCT trace_id, toUInt32(intDiv(start_ns, 60000000000)) AS minute FROM normalised_spans;

DROP VIEW IF EXISTS note_traces  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS note_traces  TO traces AS
SELECT trace_id, min(start_ns) AS first_ns, max(start_ns) AS last_ns, toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC') AS day FROM normalised_spans GROUP BY trace_id, day;

DROP VIEW IF EXISTS store_logs  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_logs  TO log_records AS
SELECT
    trace_id,
    span_id,
    if(time_ns > 0, time_ns, observed_ns) AS time_ns,
    sipHash64(resource_keys, resource_texts, scope_name, trace_id, span_id, decoded_logs.time_ns, observed_ns, severity_number, event_name, body, keys, texts) AS content_hash,
    ordinal,
    arrival_ns,
    sender,
    resource_texts[indexOf(resource_keys, 'service.name')] AS service,
    resource_texts[indexOf(resource_keys, 'service.instance.id')] AS process,
    scope_name,
    scope_version,
    mapFromArrays(scope_keys, scope_texts) AS scope_attributes,
    scope_types,
    severity_number,
    severity_text,
    event_name,
    body,
    body_type,
    mapFromArrays(resource_keys, resource_texts) AS resource,
    resource_types,
    mapFromArrays(keys, texts) AS attributes,
    types AS attribute_types
FROM decoded_logs;

DROP VIEW IF EXISTS note_models  SYNC;

-- Models that occur, without a price as yet (resolved_ns 0): whoever looks prices up next resolves them.
CREATE MATERIALIZED VIEW IF NOT EXISTS note_models  TO prices AS
SELECT DISTINCT provider, request_model, response_model
FROM normalised_spans
WHERE (kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AND (request_model != '' OR response_model != '');
