-- One row per tool call. arguments and result are NULL where the sender recorded none.
CREATE OR REPLACE VIEW tool_calls  AS
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
        multiIf(mapContains(contents, 'gen_ai.tool.call.arguments'), contents['gen_ai.tool.call.arguments'], mapContains(contents, 'ai.toolCall.args'), contents['ai.toolCall.args'], mapContains(contents, 'tool_arguments'), contents['tool_arguments'], mapContains(contents, 'gcp.vertex.agent.tool_call_args'), contents['gcp.vertex.agent.tool_call_args'], mapContains(contents, 'input.value'), contents['input.value'], mapContains(contents, 'traceloop.entity.input'), contents['traceloop.entity.input'], mapContains(contents, 'langfuse.observation.input'), contents['langfuse.observation.input'], mapContains(contents, 'mlflow.spanInputs'), contents['mlflow.spanInputs'], mapContains(contents, 'clew.input'), contents['clew.input'], mapContains(contents, 'tool.parameters'), contents['tool.parameters'], 0) AS argument_hash,
        multiIf(mapContains(contents, 'gen_ai.tool.call.result'), contents['gen_ai.tool.call.result'], mapContains(contents, 'ai.toolCall.result'), contents['ai.toolCall.result'], mapContains(contents, 'tool_response'), contents['tool_response'], mapContains(contents, 'gcp.vertex.agent.tool_response'), contents['gcp.vertex.agent.tool_response'], mapContains(contents, 'output.value'), contents['output.value'], mapContains(contents, 'traceloop.entity.output'), contents['traceloop.entity.output'], mapContains(contents, 'langfuse.observation.output'), contents['langfuse.observation.output'], mapContains(contents, 'mlflow.spanOutputs'), contents['mlflow.spanOutputs'], mapContains(contents, 'clew.output'), contents['clew.output'], 0) AS result_hash
    FROM spans
    WHERE kind = 'tool'
) AS t
LEFT JOIN (SELECT trace_id, span_id, agent FROM settled FINAL) AS s ON t.trace_id = s.trace_id AND t.span_id = s.span_id
LEFT ANY JOIN payloads AS a ON t.trace_id = a.trace_id AND t.argument_hash = a.hash
LEFT ANY JOIN payloads AS r ON t.trace_id = r.trace_id AND t.result_hash = r.hash;
