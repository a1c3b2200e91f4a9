DROP VIEW IF EXISTS note_models  SYNC;

-- Models that occur, without a price as yet (resolved_ns 0): whoever looks prices up next resolves them.
CREATE MATERIALIZED VIEW IF NOT EXISTS note_models  TO prices AS
SELECT DISTINCT provider, request_model, response_model
FROM normalised_spans
WHERE (kind = 'llm' OR isNotNull(input_tokens) OR isNotNull(output_tokens)) AND (request_model != '' OR response_model != '');
