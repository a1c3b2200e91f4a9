DROP VIEW IF EXISTS decode_logs_protobuf  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_logs_protobuf  TO decoded_logs AS
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
    ordinal,
    lower(hex(r.trace_id)) AS trace_id,
    lower(hex(r.span_id)) AS span_id,
    r.time_unix_nano AS time_ns,
    r.observed_time_unix_nano AS observed_ns,
    r.severity_number AS severity_number,
    r.severity_text AS severity_text,
    r.event_name AS event_name,
    arrayMap(text_of, [r.body])[1] AS body,
    arrayMap(type_of, [r.body])[1] AS body_type,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, arrayJoin(arrayZip(scope.log_records, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.log_records)))).1 AS r, arrayJoin(arrayZip(scope.log_records, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.log_records)))).2 AS ordinal
    FROM (
        SELECT
            arrival_ns,
            sender,
            group.resource.attributes.key AS resource_keys,
            arrayMap(text_of, group.resource.attributes.value) AS resource_texts,
            arrayMap(type_of, group.resource.attributes.value) AS resource_types,
            arrayJoin(group.scope_logs) AS scope
        FROM (
            SELECT arrival_time_unix_nano AS arrival_ns, sender, arrayJoin(resource_logs) AS group
            FROM landing_logs_protobuf
        )
    )
);
