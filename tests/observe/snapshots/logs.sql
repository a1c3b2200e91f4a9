-- One row per log record. body is text; a body that was not text is JSON.
CREATE OR REPLACE VIEW logs  AS
SELECT
    trace_id,
    span_id,
    fromUnixTimestamp64Nano(toInt64(time_ns), 'UTC') AS time,
    severity_number,
    severity_text,
    event_name,
    body,
    toString(body_type) AS body_type,
    service,
    scope_name,
    scope_version,
    scope_attributes,
    scope_types,
    attributes,
    attribute_types,
    resource,
    resource_types,
    process,
    sender,
    time_ns
FROM log_records FINAL;
