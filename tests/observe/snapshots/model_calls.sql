-- One row per leaf model call: a span of kind llm without an llm descendant, or another span with usage none of whose descendants has any.
-- cost_usd prefers what the provider reported; cost_source is reported, computed, cached, unpriced or missing. Unknown is NULL.
CREATE OR REPLACE VIEW model_calls  AS
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
    multiIf(cache_hit, 0, isNotNull(reported_cost_usd), reported_cost_usd, isNotNull(input_tokens) OR isNotNull(output_tokens), computed_cost_usd, NULL) AS cost_usd,
    multiIf(
        cache_hit, 'cached',
        isNotNull(reported_cost_usd), 'reported',
        isNull(input_tokens) AND isNull(output_tokens), 'missing',
        isNotNull(computed_cost_usd), 'computed',
        'unpriced'
    ) AS cost_source,
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
        [toInt64(greatest(toInt64(ifNull(input_tokens, 0)) - toInt64(ifNull(cache_read_tokens, 0)) - toInt64(ifNull(cache_write_tokens, 0)), 0) - least(toInt64(ifNull(audio_input_tokens, 0)), greatest(toInt64(ifNull(input_tokens, 0)) - toInt64(ifNull(cache_read_tokens, 0)) - toInt64(ifNull(cache_write_tokens, 0)), 0))), toInt64(toInt64(ifNull(cache_read_tokens, 0))), toInt64(toInt64(ifNull(cache_write_tokens, 0)) - least(toInt64(ifNull(cache_write_1h_tokens, 0)), toInt64(ifNull(cache_write_tokens, 0)))), toInt64(least(toInt64(ifNull(cache_write_1h_tokens, 0)), toInt64(ifNull(cache_write_tokens, 0)))), toInt64(least(toInt64(ifNull(audio_input_tokens, 0)), greatest(toInt64(ifNull(input_tokens, 0)) - toInt64(ifNull(cache_read_tokens, 0)) - toInt64(ifNull(cache_write_tokens, 0)), 0))), toInt64(toInt64(ifNull(output_tokens, 0)) - least(toInt64(ifNull(reasoning_tokens, 0)), toInt64(ifNull(output_tokens, 0))) - least(toInt64(ifNull(audio_output_tokens, 0)), toInt64(ifNull(output_tokens, 0)) - least(toInt64(ifNull(reasoning_tokens, 0)), toInt64(ifNull(output_tokens, 0))))), toInt64(least(toInt64(ifNull(reasoning_tokens, 0)), toInt64(ifNull(output_tokens, 0)))), toInt64(least(toInt64(ifNull(audio_output_tokens, 0)), toInt64(ifNull(output_tokens, 0)) - least(toInt64(ifNull(reasoning_tokens, 0)), toInt64(ifNull(output_tokens, 0))))), toInt64(1000)] AS charged_tokens,
        if(notEmpty(flat) OR empty(rules), flat, arrayMap(tiers -> arrayLast(t -> t.1 = 0 OR ifNull(input_tokens, 0) > t.1, tiers).2, rules[greatest(arrayLastIndex(rule -> intDiv(start_ns, 1000000000) >= rule.1 AND (if(rule.3 < rule.2, intDiv(start_ns, 1000000000) % 86400 >= rule.2 OR intDiv(start_ns, 1000000000) % 86400 < rule.3, intDiv(start_ns, 1000000000) % 86400 >= rule.2 AND intDiv(start_ns, 1000000000) % 86400 < rule.3)), rules), 1)].4)) AS usd_per_million,
        if(notEmpty(usd_per_million) AND (isNotNull(input_tokens) OR arraySum(arraySlice(usd_per_million, 1, 5)) = 0) AND (isNotNull(output_tokens) OR arraySum(arraySlice(usd_per_million, 6, 3)) = 0), arrayDotProduct(charged_tokens, usd_per_million) / 1e6, NULL) AS computed_cost_usd
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
        WHERE (span_records.kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AND NOT (error_type IN ('refused', 'budget_exceeded', 'loop_detected') AND ifNull(input_tokens = 0 AND output_tokens = 0, false))
    ) AS calls
    LEFT JOIN (SELECT trace_id, span_id, shadowed, agent AS inherited_agent FROM settled FINAL) AS settled USING (trace_id, span_id)
    LEFT JOIN (SELECT provider, request_model, response_model, matched AS priced_as, source AS price_source, flat, rules FROM prices FINAL) AS prices
        USING (provider, request_model, response_model)
    WHERE NOT shadowed
);
