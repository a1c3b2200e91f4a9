-- What the settler has just decided, on its way into settled.
CREATE TABLE IF NOT EXISTS verdicts  (
    id UInt64,
    shadowed Bool,
    owner UInt64
) ENGINE = Memory;
