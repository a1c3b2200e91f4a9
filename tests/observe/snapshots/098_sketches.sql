-- Attributes (@name) and some fields of spans: how many spans have one, and its most frequent values, by day of arrival; of a sample where many come in.
-- Made when completion is first asked for in a store that has rollups.
CREATE TABLE IF NOT EXISTS sketches  (
    name String,
    day Date,
    spans SimpleAggregateFunction(sum, UInt64),
    frequent AggregateFunction(topKWeighted(100, 3, 'counts'), String, UInt64),
    until_ns SimpleAggregateFunction(max, UInt64)
) ENGINE = AggregatingMergeTree
PARTITION BY day
ORDER BY name
SETTINGS old_parts_lifetime = 1, auto_statistics_types = '';
