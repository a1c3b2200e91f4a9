DROP VIEW IF EXISTS store_spans  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_spans  TO span_records AS
SELECT trace_id, span_id, parent_span_id, version, arrival_ns, kind, name, service, process, status, status_message, start_ns, end_ns, content_hash, otel_kind, trace_state, scope_name, scope_version, sender, request_model, response_model, provider, agent, workflow, persona, session_id, user_id, tool, tool_call_id, error_type, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens, audio_input_tokens, audio_output_tokens, reported_cost_usd, cache_hit, resource, attributes, attribute_types, contents, content_types, event_times, event_names, event_attributes, link_trace_ids, link_span_ids, link_attributes FROM normalised_spans;
