-- Figures of the spans that start in a minute (or an hour) and agree in their labels, written whole: of a minute the rows of its latest writing count.
-- Made once a store is large enough.
CREATE TABLE IF NOT EXISTS rollups  (
    level Enum8('minute' = 0, 'hour' = 1, 'hour by model' = 2, 'hour by agent' = 3, 'hour by service' = 4, 'hour by tool' = 5, 'hour by error' = 6, 'hour by workflow' = 7, 'hour by operation' = 8),
    at UInt32,
    rolled_ns UInt64,
    service LowCardinality(String),
    workflow LowCardinality(String),
    agent LowCardinality(String),
    persona LowCardinality(String),
    provider LowCardinality(String),
    model LowCardinality(String),
    tool LowCardinality(String),
    name LowCardinality(String),
    error LowCardinality(String),
    kind Enum8('workflow' = 0, 'node' = 1, 'agent' = 2, 'llm' = 3, 'tool' = 4, 'decision' = 5, 'message' = 6, 'memory' = 7, 'retrieval' = 8, 'embedding' = 9, 'git' = 10, 'task' = 11, 'execution' = 12, 'gate' = 13, 'evaluation' = 14, 'other' = 15),
    status Enum8('unset' = 0, 'ok' = 1, 'error' = 2),
    model_id UInt64,
    call Enum8('none' = 0, 'cached' = 1, 'reported' = 2, 'missing' = 3, 'both' = 4, 'input' = 5, 'output' = 6),
    above UInt32,
    spans UInt64,
    ended UInt64,
    durations AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), Int64),
    with_usage UInt64,
    input_tokens Nullable(UInt64),
    output_tokens Nullable(UInt64),
    cache_read_tokens Nullable(UInt64),
    cache_write_tokens Nullable(UInt64),
    reasoning_tokens Nullable(UInt64),
    charged Array(Int64),
    reported_usd Float64
) ENGINE = ReplacingMergeTree(rolled_ns)
PRIMARY KEY (level, at)
ORDER BY (level, at, service, workflow, agent, persona, provider, model, tool, name, error, kind, status, model_id, call, above)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
