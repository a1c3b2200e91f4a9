-- One row per received span with its normalised columns; content is still beside it, in arrays. Nothing is kept.
CREATE TABLE IF NOT EXISTS normalised_spans $on_cluster (
    $span_columns,
    content_keys Array(LowCardinality(String)),
    content_texts Array(String),
    content_hashes Array(UInt64),
    content_restates Array(Bool)
) ENGINE = Null
