-- Prices for the models that occur: the last rule that is active at the call's start holds. No rules: no price is known.
CREATE TABLE IF NOT EXISTS prices $on_cluster (
    provider String,
    request_model String,
    response_model String,
    resolved_ns UInt64,
    matched String,
    source LowCardinality(String),
    fingerprint LowCardinality(String),
    rules Array(Tuple(
        starts_s Int64,
        day_from_s UInt32,
        day_to_s UInt32,
        per_million Map(LowCardinality(String), Array(Tuple(above UInt64, usd Float64)))
    ))
) ENGINE = ${replicated}ReplacingMergeTree(resolved_ns)
ORDER BY (provider, request_model, response_model)
SETTINGS old_parts_lifetime = 1
