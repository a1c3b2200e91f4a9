-- One row per tool call. arguments and result are NULL where the sender recorded none.
CREATE OR REPLACE VIEW tool_calls $on_cluster AS
SELECT
    t.trace_id AS trace_id,
    t.span_id AS span_id,
    parent_span_id,
    tool,
    tool_call_id,
    if(own_agent != '', own_agent, s.agent) AS agent,
    service,
    if(argument_hash = 0, NULL, a.value) AS arguments,
    if(result_hash = 0, NULL, r.value) AS result,
    status,
    state,
    status_message,
    error_type,
    start_time,
    duration_ns,
    start_ns
FROM (
    SELECT
        trace_id, span_id, parent_span_id, if(tool != '', tool, name) AS tool, tool_call_id, agent AS own_agent, service, status, state, status_message,
        error_type, start_time, duration_ns, start_ns,
        $argument_hash AS argument_hash,
        $result_hash AS result_hash
    FROM spans
    WHERE kind = 'tool'
) AS t
LEFT JOIN (SELECT trace_id, span_id, agent FROM settled FINAL) AS s ON t.trace_id = s.trace_id AND t.span_id = s.span_id
LEFT ANY JOIN payloads AS a ON t.trace_id = a.trace_id AND t.argument_hash = a.hash
LEFT ANY JOIN payloads AS r ON t.trace_id = r.trace_id AND t.result_hash = r.hash
