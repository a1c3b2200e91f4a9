DROP VIEW IF EXISTS decode_traces_json  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_traces_json  TO decoded_spans AS
WITH v -> assumeNotNull(multiIf(
        isNotNull(v.stringValue), v.stringValue,
        isNotNull(v.intValue), toString(v.intValue),
        isNotNull(v.doubleValue), toString(v.doubleValue),
        isNotNull(v.boolValue), if(v.boolValue, 'true', 'false'),
        isNotNull(v.jsonValue), v.jsonValue,
        notEmpty(v.arrayValue.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.stringValue), toJSONString(e.stringValue),
            isNotNull(e.intValue), toString(e.intValue),
            isNotNull(e.doubleValue), multiIf(NOT isFinite(e.doubleValue), toJSONString(assumeNotNull(toString(e.doubleValue))), match(assumeNotNull(toString(e.doubleValue)), '[.e]'), assumeNotNull(toString(e.doubleValue)), concat(assumeNotNull(toString(e.doubleValue)), '.0')),
            isNotNull(e.boolValue), if(e.boolValue, 'true', 'false'),
            isNotNull(e.bytesValue), toJSONString(e.bytesValue),
            'null')), v.arrayValue.values), ','), ']'),
        isNotNull(v.bytesValue), toJSONString(v.bytesValue),
        'null')) AS text_of,
    v -> multiIf(
        isNotNull(v.stringValue), 'string',
        isNotNull(v.intValue), 'int',
        isNotNull(v.doubleValue), 'double',
        isNotNull(v.boolValue), 'bool',
        'json') AS type_of
SELECT
    arrival_ns,
    sender,
    resource_keys,
    resource_texts,
    resource_types,
    scope.scope.name AS scope_name,
    scope.scope.version AS scope_version,
    scope.scope.attributes.key AS scope_keys,
    arrayMap(text_of, scope.scope.attributes.value) AS scope_texts,
    arrayMap(type_of, scope.scope.attributes.value) AS scope_types,
    lower(r.traceId) AS trace_id,
    lower(r.spanId) AS span_id,
    lower(r.parentSpanId) AS parent_span_id,
    r.traceState AS trace_state,
    r.name AS name,
    transform(r.kind, ['0', '1', '2', '3', '4', '5', 'SPAN_KIND_UNSPECIFIED', 'SPAN_KIND_INTERNAL', 'SPAN_KIND_SERVER', 'SPAN_KIND_CLIENT', 'SPAN_KIND_PRODUCER', 'SPAN_KIND_CONSUMER'], [0, 1, 2, 3, 4, 5, 0, 1, 2, 3, 4, 5], 0) AS otel_kind,
    r.startTimeUnixNano AS start_ns,
    r.endTimeUnixNano AS end_ns,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types,
    r.events.timeUnixNano AS event_times,
    r.events.name AS event_names,
    arrayMap(x -> x.attributes.key, r.events) AS event_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.events) AS event_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.events) AS event_types,
    arrayMap(x -> lower(x.traceId), r.links) AS link_trace_ids,
    arrayMap(x -> lower(x.spanId), r.links) AS link_span_ids,
    arrayMap(x -> x.attributes.key, r.links) AS link_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.links) AS link_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.links) AS link_types,
    transform(r.status.code, ['0', '1', '2', 'STATUS_CODE_UNSET', 'STATUS_CODE_OK', 'STATUS_CODE_ERROR'], [0, 1, 2, 0, 1, 2], 0) AS status_code,
    r.status.message AS status_message
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, arrayJoin(scope.spans) AS r
    FROM (
        SELECT
            arrival_ns,
            sender,
            group.resource.attributes.key AS resource_keys,
            arrayMap(text_of, group.resource.attributes.value) AS resource_texts,
            arrayMap(type_of, group.resource.attributes.value) AS resource_types,
            arrayJoin(group.scopeSpans) AS scope
        FROM (
            SELECT arrivalTimeUnixNano AS arrival_ns, sender, arrayJoin(resourceSpans) AS group
            FROM landing_traces_json
        )
    )
);
