-- Content: each distinct value once per trace. A value that only restates messages of its own span is kept and not indexed.
CREATE TABLE IF NOT EXISTS payloads $on_cluster (
    trace_id String CODEC(ZSTD(1)),
    hash UInt64,
    indexed Bool,
    arrival_ns UInt64 CODEC(Delta, ZSTD(1)),
    value String CODEC(ZSTD(3, 24)) SETTINGS (min_compress_block_size = 4194304, max_compress_block_size = 16777216),
    INDEX words if(indexed, value, '') TYPE text(tokenizer = 'splitByNonAlpha', preprocessor = lower(if(indexed, value, '')), posting_list_codec = 'bitpacking', dictionary_block_size = 4096)
) ENGINE = ${replicated}ReplacingMergeTree(indexed)
PARTITION BY toDate(fromUnixTimestamp64Nano(toInt64(arrival_ns)), 'UTC')
ORDER BY (trace_id, hash)
SETTINGS old_parts_lifetime = 1, auto_statistics_types = ''
