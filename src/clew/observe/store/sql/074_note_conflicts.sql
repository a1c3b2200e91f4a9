-- An ended span that is twice in one insert with other content: the table keeps the later one at once, so it must be noted here. The settler
-- notes what arrives apart.
CREATE MATERIALIZED VIEW IF NOT EXISTS note_conflicts $on_cluster TO conflicts AS
SELECT
    any(n.trace_id) AS trace_id,
    any(n.span_id) AS span_id,
    if(anyLast(content_hash) = max(content_hash), min(content_hash), max(content_hash)) AS replaced_hash,
    max($day) AS day
FROM normalised_spans AS n
WHERE end_ns > 0
GROUP BY cityHash64(n.trace_id, n.span_id)
HAVING min(content_hash) != max(content_hash)
