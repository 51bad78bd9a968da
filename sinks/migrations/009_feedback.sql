-- Verdicts of people on detections: of each person on each detection the newest. Kept for good: statistics are made of them.
CREATE TABLE IF NOT EXISTS feedback (
    Tenant LowCardinality(String),
    DetectionId String,
    Who String,
    Version UInt64,
    DetectionType LowCardinality(String),
    Framework LowCardinality(String),
    Tier UInt8,
    Confidence Float64,
    FoundConfidence Float64,
    Verdict LowCardinality(String),
    Note String CODEC(ZSTD(1)),
    At DateTime64(9),
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(Version)
ORDER BY (Tenant, DetectionId, Who);

-- Thresholds changed at run time: of each detection type and framework the highest version counts.
CREATE TABLE IF NOT EXISTS thresholds (
    Tenant LowCardinality(String),
    Detector LowCardinality(String),
    Framework LowCardinality(String),
    Version UInt64,
    MinConfidence Nullable(Float64),
    Who String,
    At DateTime64(9),
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(Version)
ORDER BY (Tenant, Detector, Framework)
