DROP VIEW IF EXISTS decode_logs_json  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS decode_logs_json  TO decoded_logs AS
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
    ordinal,
    lower(r.traceId) AS trace_id,
    lower(r.spanId) AS span_id,
    r.timeUnixNano AS time_ns,
    r.observedTimeUnixNano AS observed_ns,
    transform(r.severityNumber, ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13', '14', '15', '16', '17', '18', '19', '20', '21', '22', '23', '24', 'SEVERITY_NUMBER_UNSPECIFIED', 'SEVERITY_NUMBER_TRACE', 'SEVERITY_NUMBER_TRACE2', 'SEVERITY_NUMBER_TRACE3', 'SEVERITY_NUMBER_TRACE4', 'SEVERITY_NUMBER_DEBUG', 'SEVERITY_NUMBER_DEBUG2', 'SEVERITY_NUMBER_DEBUG3', 'SEVERITY_NUMBER_DEBUG4', 'SEVERITY_NUMBER_INFO', 'SEVERITY_NUMBER_INFO2', 'SEVERITY_NUMBER_INFO3', 'SEVERITY_NUMBER_INFO4', 'SEVERITY_NUMBER_WARN', 'SEVERITY_NUMBER_WARN2', 'SEVERITY_NUMBER_WARN3', 'SEVERITY_NUMBER_WARN4', 'SEVERITY_NUMBER_ERROR', 'SEVERITY_NUMBER_ERROR2', 'SEVERITY_NUMBER_ERROR3', 'SEVERITY_NUMBER_ERROR4', 'SEVERITY_NUMBER_FATAL', 'SEVERITY_NUMBER_FATAL2', 'SEVERITY_NUMBER_FATAL3', 'SEVERITY_NUMBER_FATAL4'], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24], 0) AS severity_number,
    r.severityText AS severity_text,
    r.eventName AS event_name,
    arrayMap(text_of, [r.body])[1] AS body,
    arrayMap(type_of, [r.body])[1] AS body_type,
    r.attributes.key AS keys,
    arrayMap(text_of, r.attributes.value) AS texts,
    arrayMap(type_of, r.attributes.value) AS types
FROM (
    SELECT arrival_ns, sender, resource_keys, resource_texts, resource_types, scope, arrayJoin(arrayZip(scope.logRecords, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.logRecords)))).1 AS r, arrayJoin(arrayZip(scope.logRecords, arrayEnumerateUniq(arrayMap(x -> toString(x), scope.logRecords)))).2 AS ordinal
    FROM (
        SELECT
            arrival_ns,
            sender,
            group.resource.attributes.key AS resource_keys,
            arrayMap(text_of, group.resource.attributes.value) AS resource_texts,
            arrayMap(type_of, group.resource.attributes.value) AS resource_types,
            arrayJoin(group.scopeLogs) AS scope
        FROM (
            SELECT arrivalTimeUnixNano AS arrival_ns, sender, arrayJoin(resourceLogs) AS group
            FROM landing_logs_json
        )
    )
);
