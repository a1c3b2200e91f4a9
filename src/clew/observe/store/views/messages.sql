-- One row per message of a model call or agent: direction is system, input or output; position counts from 0 within it.
-- content is the text byte for byte; parts is the JSON of the message where the sender gave JSON, else ''.
CREATE OR REPLACE VIEW messages $on_cluster AS
SELECT trace_id, span_id, direction, position, role, content, parts
FROM (
    SELECT
        trace_id,
        span_id,
        if(key LIKE '%output%' OR key LIKE 'gen_ai.completion%', 'output', 'input') AS direction,
        toUInt32(extract(key, '\\.(\\d+)\\.')) AS position,
        attributes[replaceRegexpOne(key, 'content$$', 'role')] AS role,
        value AS content,
        '' AS parts
    FROM (
        SELECT r.trace_id AS trace_id, r.span_id AS span_id, r.key AS key, r.attributes AS attributes, p.value AS value
        FROM (
            SELECT trace_id, span_id, attributes, key, hash
            FROM span_records FINAL
            ARRAY JOIN mapKeys(contents) AS key, mapValues(contents) AS hash
            WHERE match(key, '^(llm\\.(input|output)_messages\\.\\d+\\.message|gen_ai\\.(prompt|completion)\\.\\d+)\\.content$$')
        ) AS r
        ANY INNER JOIN payloads AS p ON r.trace_id = p.trace_id AND r.hash = p.hash
    )
    UNION ALL
    SELECT
        trace_id,
        span_id,
        multiIf(key = 'gen_ai.system_instructions', 'system', key = 'gen_ai.output.messages', 'output', 'input') AS direction,
        toUInt32(index - 1) AS position,
        if(key = 'gen_ai.system_instructions', 'system', JSONExtractString(message, 'role')) AS role,
        if(
            JSONHas(message, 'parts'),
            arrayStringConcat(arrayFilter(t -> t != '', arrayMap(p -> JSONExtractString(p, 'content'), JSONExtractArrayRaw(message, 'parts'))), '\n'),
            JSONExtractString(message, 'content')
        ) AS content,
        message AS parts
    FROM (
        SELECT trace_id, span_id, key, JSONExtractArrayRaw(value) AS list
        FROM contents
        WHERE key IN ('gen_ai.input.messages', 'gen_ai.output.messages', 'gen_ai.system_instructions')
    )
    ARRAY JOIN list AS message, arrayEnumerate(list) AS index
)
