-- One row per decision: what was asked, the options considered (JSON), what was chosen and why.
CREATE OR REPLACE VIEW decisions  AS
SELECT
    trace_id,
    span_id,
    parent_span_id,
    name,
    if(own_agent != '', own_agent, inherited_agent) AS agent,
    question,
    options,
    choice,
    reason,
    confidence,
    decided_by,
    status,
    start_time,
    duration_ns,
    start_ns
FROM (
    SELECT
        trace_id, span_id, parent_span_id, name, agent AS own_agent, status, start_time, duration_ns, start_ns,
        attributes['clew.decision.choice'] AS choice,
        toFloat64OrNull(attributes['clew.decision.confidence']) AS confidence,
        attributes['clew.decision.by'] AS decided_by
    FROM spans
    WHERE kind = 'decision'
) AS d
LEFT JOIN (SELECT trace_id, span_id, agent AS inherited_agent FROM settled FINAL) AS s USING (trace_id, span_id)
LEFT JOIN (
    SELECT
        trace_id,
        span_id,
        anyIf(value, key = 'clew.decision.question') AS question,
        anyIf(value, key = 'clew.decision.options') AS options,
        anyIf(value, key = 'clew.decision.reason') AS reason
    FROM contents
    WHERE key LIKE 'clew.decision.%'
    GROUP BY trace_id, span_id
) AS t USING (trace_id, span_id);
