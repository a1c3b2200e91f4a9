-- One row per message of a model call or agent: direction is system, input or output; position counts from 0 within it.
-- content is the text byte for byte, several parts joined by a line feed, '' when there is none (a message that only calls tools);
-- parts is the JSON of the message where the sender gave JSON, else ''.
CREATE OR REPLACE VIEW messages $on_cluster AS
-- Flattened into attributes: llm.input_messages.0.message.role and so on.
SELECT
    trace_id,
    span_id,
    if(prefix LIKE 'llm.output%' OR prefix LIKE 'gen_ai.completion%', 'output', 'input') AS direction,
    toUInt32(extract(prefix, '\\.(\\d+)\\.')) AS position,
    role,
    arrayStringConcat(arrayMap(t -> t.2, arraySort(groupArrayIf((toUInt32OrZero(extract(key, 'contents\\.(\\d+)\\.')), value), key != ''))), '\n') AS content,
    '' AS parts
FROM (
    SELECT r.trace_id AS trace_id, r.span_id AS span_id, r.prefix AS prefix, r.role AS role, r.key AS key, p.value AS value
    FROM (
        SELECT
            trace_id,
            span_id,
            prefix,
            attributes[concat(prefix, 'role')] AS role,
            key,
            contents[key] AS hash
        FROM (
            SELECT
                trace_id,
                span_id,
                attributes,
                contents,
                mapKeys(contents) AS keys,
                arrayDistinct(arrayFilter(x -> x != '', arrayMap(
                    k -> extract(k, '^(llm\\.(?:input|output)_messages\\.\\d+\\.message\\.|gen_ai\\.(?:prompt|completion)\\.\\d+\\.)'),
                    arrayConcat(mapKeys(attributes), keys)
                ))) AS prefixes
            FROM $span_records
        )
        ARRAY JOIN prefixes AS prefix
        LEFT ARRAY JOIN if(
            has(keys, concat(prefix, 'content')),
            [toString(concat(prefix, 'content'))],
            arrayMap(k -> toString(k), arrayFilter(k -> startsWith(k, concat(prefix, 'contents.')) AND endsWith(k, '.message_content.text'), keys))
        ) AS key
    ) AS r
    LEFT ANY JOIN $payloads AS p ON r.trace_id = p.trace_id AND r.hash = p.hash
)
GROUP BY trace_id, span_id, prefix, role
UNION ALL
-- As JSON: a list of messages, or (GenAI before 1.37) one event for each, in an attribute, on the span, or as log records.
SELECT
    trace_id,
    span_id,
    direction,
    toUInt32(number - 1) AS position,
    multiIf(direction = 'system', 'system', JSONHas(body, 'role'), JSONExtractString(body, 'role'), extract(event, 'gen_ai\\.(\\w+)\\.message')) AS role,
    multiIf(
        JSONHas(body, 'parts'), arrayStringConcat(arrayFilter(t -> t != '', arrayMap(
            p -> multiIf(
                JSONExtractString(p, 'type') != 'tool_call_response', JSONExtractString(p, 'content'),
                JSONType(p, 'response') = 'String', JSONExtractString(p, 'response'),
                JSONType(p, 'result') = 'String', JSONExtractString(p, 'result'),
                JSONHas(p, 'response'), JSONExtractRaw(p, 'response'),
                JSONExtractRaw(p, 'result')
            ),
            JSONExtractArrayRaw(body, 'parts')
        )), '\n'),
        JSONType(body, 'content') = 'Array', arrayStringConcat(arrayFilter(t -> t != '', arrayMap(p -> JSONExtractString(p, 'text'), JSONExtractArrayRaw(body, 'content'))), '\n'),
        JSONExtractString(body, 'content')
    ) AS content,
    message AS parts
FROM (
    SELECT
        trace_id,
        span_id,
        arrayMap(e -> multiIf(known != '', known, e = 'gen_ai.choice', 'output', 'input'), events) AS directions,
        direction,
        number,
        event,
        message,
        if(event = 'gen_ai.choice' AND JSONType(message, 'message') = 'Object', JSONExtractRaw(message, 'message'), message) AS body
    FROM (
        SELECT
            trace_id,
            span_id,
            multiIf(key = 'gen_ai.system_instructions', 'system', key = 'gen_ai.output.messages', 'output', key = 'events', '', 'input') AS known,
            JSONExtractArrayRaw(value) AS list,
            arrayMap(m -> JSONExtractString(m, 'event.name'), list) AS events
        FROM $contents
        WHERE key IN ('gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.system_instructions', 'ai.prompt.messages', 'events')
        UNION ALL
        SELECT
            trace_id,
            span_id,
            '' AS known,
            arrayMap(a -> toJSONString(a), arrayFilter((a, e) -> match(e, '^gen_ai\\.(\\w+\\.message|choice)$$'), event_attributes, event_names)) AS list,
            arrayMap(e -> toString(e), arrayFilter(e -> match(e, '^gen_ai\\.(\\w+\\.message|choice)$$'), event_names)) AS events
        FROM $span_records
        UNION ALL
        SELECT trace_id, span_id, '' AS known, arrayMap(r -> r.4, records) AS list, arrayMap(r -> r.3, records) AS events
        FROM (
            SELECT trace_id, span_id, arraySort(groupArray((time_ns, ordinal, toString(event_name), body))) AS records
            FROM $log_records
            WHERE match(event_name, '^gen_ai\\.(\\w+\\.message|choice)$$')
            GROUP BY trace_id, span_id
        )
    )
    ARRAY JOIN list AS message, events AS event, directions AS direction, arrayEnumerateUniq(directions) AS number
    WHERE known != '' OR event != ''
)
UNION ALL
-- The answer as one text.
SELECT trace_id, span_id, 'output' AS direction, toUInt32(0) AS position, 'assistant' AS role, value AS content, '' AS parts
FROM $contents
WHERE key = 'ai.response.text'
