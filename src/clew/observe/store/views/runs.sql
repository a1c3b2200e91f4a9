-- One row per run (trace). cost_usd is NULL when any of its model calls has no price or no usage; then partial_cost_usd is what is known.
-- The root is the earliest span without a parent or, when none arrived, the earliest span.
CREATE OR REPLACE VIEW runs $on_cluster AS
SELECT
    s.trace_id AS run_id,
    root_name AS name,
    root_service AS service,
    if(errors > 0 AND root_status != 'ok', 'error', root_status) AS status,
    root_state AS state,
    fromUnixTimestamp64Nano(toInt64(begin_ns), 'UTC') AS start_time,
    if(root_state = 'ended', toInt64(greatest(end_ns, begin_ns) - begin_ns), NULL) AS duration_ns,
    span_count AS spans,
    errors,
    error,
    agents,
    session AS session_id,
    user AS user_id,
    c.models AS models,
    c.calls AS model_calls,
    c.calls_with_usage AS calls_with_usage,
    if(c.calls_with_usage = 0, NULL, c.input_tokens) AS input_tokens,
    if(c.calls_with_usage = 0, NULL, c.output_tokens) AS output_tokens,
    if(c.uncosted > 0, NULL, c.partial_cost_usd) AS cost_usd,
    c.partial_cost_usd AS partial_cost_usd,
    c.unpriced_models AS unpriced_models,
    begin_ns AS start_ns
FROM (
    SELECT
        trace_id,
        argMin(name, (parent_span_id != '', start_ns)) AS root_name,
        argMin(service, (parent_span_id != '', start_ns)) AS root_service,
        argMin(status, (parent_span_id != '', start_ns)) AS root_status,
        argMin(state, (parent_span_id != '', start_ns)) AS root_state,
        min(start_ns) AS begin_ns,
        max(start_ns + ifNull(duration_ns, 0)) AS end_ns,
        count() AS span_count,
        countIf(status = 'error') AS errors,
        argMinIf(status_message, start_ns, status = 'error') AS error,
        arraySort(groupUniqArrayIf(if(agent != '', agent, name), agent != '' OR kind = 'agent')) AS agents,
        anyIf(session_id, session_id != '') AS session,
        anyIf(user_id, user_id != '') AS user
    FROM spans
    $of_runs
    GROUP BY trace_id
) AS s
LEFT JOIN (
    SELECT
        trace_id,
        arraySort(groupUniqArrayIf(model, model != '')) AS models,
        count() AS calls,
        countIf(usage_source != 'missing') AS calls_with_usage,
        sum(input_tokens) AS input_tokens,
        sum(output_tokens) AS output_tokens,
        countIf(isNull(cost_usd)) AS uncosted,
        sum(ifNull(cost_usd, 0)) AS partial_cost_usd,
        arraySort(groupUniqArrayIf(model, cost_source = 'unpriced')) AS unpriced_models
    FROM $calls
    $of_calls
    GROUP BY trace_id
) AS c ON s.trace_id = c.trace_id
