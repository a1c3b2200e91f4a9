-- One row per session: the runs that share a session id.
CREATE OR REPLACE VIEW sessions  AS
SELECT
    session_id,
    any(user_id) AS user_id,
    count() AS runs,
    min(runs.start_time) AS first_time,
    max(runs.start_time) AS last_time,
    sum(runs.spans) AS spans,
    sum(runs.errors) AS errors,
    sum(model_calls) AS model_calls,
    sum(input_tokens) AS input_tokens,
    sum(output_tokens) AS output_tokens,
    if(countIf(isNull(cost_usd)) > 0, NULL, sum(runs.partial_cost_usd)) AS cost_usd,
    sum(runs.partial_cost_usd) AS partial_cost_usd
FROM runs
WHERE session_id != ''
GROUP BY session_id;
