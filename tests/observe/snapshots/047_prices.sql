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
