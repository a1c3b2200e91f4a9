-- Counters, histograms and summaries of the catalogue, added up since the store was made. No row is ever lessened: not by retention, nor by
-- deletion or correction of spans. Each turn of counting writes the series that grew, whole, and a row without a name that says which turn it was.
CREATE TABLE IF NOT EXISTS metric_totals  (
    metric LowCardinality(String),
    labels Array(String),
    turn UInt64,
    value Float64,
    slots Array(Int32),
    counts Array(UInt64),
    exemplar_slots Array(Int32),
    exemplar_traces Array(String),
    exemplar_values Array(Float64),
    exemplar_times Array(UInt64)
) ENGINE = ReplacingMergeTree(turn)
ORDER BY (metric, labels)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
