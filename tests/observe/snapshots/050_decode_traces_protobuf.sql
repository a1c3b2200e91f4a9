DROP VIEW IF EXISTS decode_traces_protobuf  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_traces_protobuf  TO decoded_spans AS
WITH v -> assumeNotNull(multiIf(
        isNotNull(v.string_value), v.string_value,
        isNotNull(v.int_value), toString(v.int_value),
        isNotNull(v.double_value), toString(v.double_value),
        isNotNull(v.bool_value), if(v.bool_value, 'true', 'false'),
        isNotNull(v.json_value), v.json_value,
        notEmpty(v.array_value.values), concat('[', arrayStringConcat(arrayMap(e -> assumeNotNull(multiIf(
            isNotNull(e.string_value), toJSONString(e.string_value),
            isNotNull(e.int_value), toString(e.int_value),
            isNotNull(e.double_value), multiIf(NOT isFinite(e.double_value), toJSONString(assumeNotNull(toString(e.double_value))), match(assumeNotNull(toString(e.double_value)), '[.e]'), assumeNotNull(toString(e.double_value)), concat(assumeNotNull(toString(e.double_value)), '.0')),
            isNotNull(e.bool_value), if(e.bool_value, 'true', 'false'),
            isNotNull(e.bytes_value), toJSONString(base64Encode(e.bytes_value)),
            'null')), v.array_value.values), ','), ']'),
        isNotNull(v.bytes_value), toJSONString(base64Encode(v.bytes_value)),
        'null')) AS text_of,
    v -> multiIf(
        isNotNull(v.string_value), 'string',
        isNotNull(v.int_value), 'int',
        isNotNull(v.double_value), 'double',
        isNotNull(v.bool_value), 'bool',
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
    lower(hex(r.trace_id)) AS trace_id,
    lower(hex(r.span_id)) AS span_id,
    lower(hex(r.parent_span_id)) AS parent_span_id,
    r.trace_state AS trace_state,
    r.name AS name,
    r.kind AS otel_kind,
    r.start_time_unix_nano AS start_ns,
    r.end_time_unix_nano AS end_ns,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types,
    r.events.time_unix_nano AS event_times,
    r.events.name AS event_names,
    arrayMap(x -> x.attributes.key, r.events) AS event_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.events) AS event_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.events) AS event_types,
    arrayMap(x -> lower(hex(x.trace_id)), r.links) AS link_trace_ids,
    arrayMap(x -> lower(hex(x.span_id)), r.links) AS link_span_ids,
    arrayMap(x -> x.attributes.key, r.links) AS link_keys,
    arrayMap(x -> arrayMap(text_of, x.attributes.value), r.links) AS link_texts,
    arrayMap(x -> arrayMap(type_of, x.attributes.value), r.links) AS link_types,
    r.status.code AS status_code,
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
            arrayJoin(group.scope_spans) AS scope
        FROM (
            SELECT arrival_time_unix_nano AS arrival_ns, sender, arrayJoin(resource_spans) AS group
            FROM landing_traces_protobuf
        )
    )
);
