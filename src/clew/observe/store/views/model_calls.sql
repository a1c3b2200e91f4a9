-- One row per leaf model call: a span of kind llm without an llm descendant, or another span with usage none of whose descendants has any.
-- cost_usd prefers what the provider reported; cost_source is reported, computed, cached, unpriced or missing. Unknown is NULL.
CREATE OR REPLACE VIEW model_calls $on_cluster AS
SELECT
    trace_id,
    span_id,
    parent_span_id,
    kind,
    name,
    service,
    model,
    request_model,
    response_model,
    provider,
    agent,
    workflow,
    persona,
    session_id,
    user_id,
    input_tokens,
    output_tokens,
    cache_read_tokens,
    cache_write_tokens,
    cache_write_1h_tokens,
    reasoning_tokens,
    audio_input_tokens,
    audio_output_tokens,
    $cost_usd AS cost_usd,
    $cost_source AS cost_source,
    reported_cost_usd,
    computed_cost_usd,
    multiIf(isNull(input_tokens) AND isNull(output_tokens), 'missing', given_source != '', given_source, 'provider') AS usage_source,
    price_source,
    priced_as,
    status,
    state,
    error_type,
    start_time,
    duration_ns,
    start_ns
FROM (
    SELECT
        *,
        multiIf(own_agent != '', own_agent, kind = 'agent', name, inherited_agent) AS agent,
        $charged_tokens AS charged_tokens,
        $usd_per_million AS usd_per_million,
        $computed_cost AS computed_cost_usd
    FROM (
        SELECT
            trace_id, span_id, parent_span_id, toString(kind) AS kind, name, service,
            if(response_model != '', response_model, request_model) AS model,
            request_model, response_model, provider, agent AS own_agent, workflow, persona, session_id, user_id,
            input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,
            audio_input_tokens, audio_output_tokens, reported_cost_usd, cache_hit,
            attributes['clew.usage.source'] AS given_source,
            toString(status) AS status,
            multiIf(end_ns > 0, 'ended', process IN (SELECT process FROM processes), 'lost', 'running') AS state,
            error_type,
            fromUnixTimestamp64Nano(toInt64(start_ns), 'UTC') AS start_time,
            if(end_ns > 0, toInt64(least(toUInt64(greatest(end_ns, start_ns) - start_ns), 9223372036854775807)), NULL) AS duration_ns,
            start_ns
        FROM span_records FINAL
        WHERE $may_cost
    ) AS calls
    LEFT JOIN (SELECT trace_id, span_id, shadowed, agent AS inherited_agent FROM $settled) AS settled USING (trace_id, span_id)
    LEFT JOIN (SELECT provider, request_model, response_model, matched AS priced_as, source AS price_source, flat, rules FROM prices FINAL) AS prices
        USING (provider, request_model, response_model)
    WHERE NOT shadowed
)
