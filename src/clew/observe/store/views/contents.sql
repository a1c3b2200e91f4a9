-- Content of spans: one row per content attribute, with its value byte for byte as it was sent.
-- LEFT ANY JOIN: one payload for each row. (ANY INNER JOIN would give a value that several spans share to one of them only.)
CREATE OR REPLACE VIEW contents $on_cluster AS
SELECT r.trace_id AS trace_id, r.span_id AS span_id, r.key AS key, r.type AS type, p.value AS value
FROM (
    SELECT trace_id, span_id, key, toString(type) AS type, hash
    FROM $span_records
    ARRAY JOIN mapKeys(contents) AS key, mapValues(contents) AS hash, content_types AS type
) AS r
LEFT ANY JOIN $payloads AS p ON r.trace_id = p.trace_id AND r.hash = p.hash
