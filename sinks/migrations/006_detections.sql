-- Detections: every version; `detections_latest` has the highest one of each id.
CREATE TABLE IF NOT EXISTS detections (
    Tenant LowCardinality(String),
    Id String CODEC(ZSTD(1)),
    Version UInt64,
    Type LowCardinality(String),
    Processor LowCardinality(String),
    Tier UInt8,
    Confidence Float64,
    ConfidenceTier LowCardinality(String),
    Severity LowCardinality(String),
    Score UInt8,
    Status LowCardinality(String),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    Framework LowCardinality(String),
    TraceId String CODEC(ZSTD(1)),
    RunId String CODEC(ZSTD(1)),
    ConversationId String CODEC(ZSTD(1)),
    Replaces String CODEC(ZSTD(1)),
    SpanIds Array(String) CODEC(ZSTD(1)),
    Title String CODEC(ZSTD(1)),
    Explanation String CODEC(ZSTD(1)),
    Evidence String CODEC(ZSTD(1)),
    FixType LowCardinality(String),
    FixRisk LowCardinality(String),
    EventTime DateTime64(9) CODEC(ZSTD(1)),
    DetectedAt DateTime64(9) CODEC(ZSTD(1)),
    CostUsd Float64,
    Json String CODEC(ZSTD(3)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(DetectedAt)
ORDER BY (Tenant, Id, Version)
TTL toDate(DetectedAt) + toIntervalDay(90);

CREATE VIEW IF NOT EXISTS detections_latest AS
SELECT * FROM detections FINAL
WHERE (Tenant, Id, Version) IN (SELECT Tenant, Id, max(Version) FROM detections GROUP BY Tenant, Id);

-- Security findings that are worth an alert: from 30 on, the newest version of each.
CREATE VIEW IF NOT EXISTS security_alerts AS
SELECT * FROM detections_latest
WHERE Type IN ('injection', 'pii_leak', 'secret_leak', 'exfiltration') AND Status != 'withdrawn' AND Score >= 30
