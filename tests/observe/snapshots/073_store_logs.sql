DROP VIEW IF EXISTS store_logs  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_logs  TO log_records AS
SELECT
    trace_id,
    span_id,
    if(time_ns > 0, time_ns, observed_ns) AS time_ns,
    sipHash64(resource_keys, resource_texts, scope_name, trace_id, span_id, decoded_logs.time_ns, observed_ns, severity_number, event_name, body, keys, texts) AS content_hash,
    ordinal,
    arrival_ns,
    sender,
    resource_texts[indexOf(resource_keys, 'service.name')] AS service,
    resource_texts[indexOf(resource_keys, 'service.instance.id')] AS process,
    scope_name,
    scope_version,
    mapFromArrays(scope_keys, scope_texts) AS scope_attributes,
    scope_types,
    severity_number,
    severity_text,
    event_name,
    body,
    body_type,
    mapFromArrays(resource_keys, resource_texts) AS resource,
    resource_types,
    mapFromArrays(keys, texts) AS attributes,
    types AS attribute_types
FROM decoded_logs;
