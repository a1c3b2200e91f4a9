DROP VIEW IF EXISTS store_payloads  SYNC;

CREATE MATERIALIZED VIEW IF NOT EXISTS store_payloads  TO payloads AS
SELECT trace_id, hash, NOT restates AS indexed, arrival_ns, value
FROM normalised_spans
ARRAY JOIN content_texts AS value, content_hashes AS hash, content_restates AS restates
LIMIT 1 BY trace_id, hash, restates;
