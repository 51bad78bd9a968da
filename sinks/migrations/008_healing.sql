-- What became of suggested fixes: every event, as it was published. Id is the healing's.
CREATE TABLE IF NOT EXISTS healing (
    Tenant LowCardinality(String),
    Id String,
    EventId String,
    Event LowCardinality(String),
    DetectionId String,
    DetectionType LowCardinality(String),
    FixType LowCardinality(String),
    Risk LowCardinality(String),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    Who String,
    At DateTime64(9),
    Reason String CODEC(ZSTD(1)),
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(At)
ORDER BY (Tenant, Id, At, EventId)
TTL toDate(At) + toIntervalDay(90);

-- Questions to people and their answers: every event, as it was published. Id is the healing's.
CREATE TABLE IF NOT EXISTS approvals (
    Tenant LowCardinality(String),
    Id String,
    EventId String,
    Event LowCardinality(String),
    DetectionId String,
    DetectionType LowCardinality(String),
    FixType LowCardinality(String),
    Risk LowCardinality(String),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    Who String,
    At DateTime64(9),
    Reason String CODEC(ZSTD(1)),
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(At)
ORDER BY (Tenant, Id, At, EventId)
TTL toDate(At) + toIntervalDay(90);

-- The guard policy in force of each service and agent: the highest version counts.
CREATE TABLE IF NOT EXISTS policies (
    Tenant LowCardinality(String),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    Version UInt64,
    At DateTime64(9),
    Rules UInt32,
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree(Version)
ORDER BY (Tenant, Service, Agent);

-- Records that could not be handled: what happened to each, not what is in it.
CREATE TABLE IF NOT EXISTS dead_letters (
    At DateTime64(9),
    Stage LowCardinality(String),
    Topic LowCardinality(String),
    Partition UInt64,
    Offset UInt64,
    Tenant LowCardinality(String),
    ErrorClass LowCardinality(String),
    ErrorText String CODEC(ZSTD(1)),
    Size UInt64
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(At)
ORDER BY (Stage, Topic, Partition, Offset, ErrorClass, At)
TTL toDate(At) + toIntervalDay(90)
