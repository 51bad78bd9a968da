-- What became of suggested fixes: every event, as it was published.
CREATE TABLE IF NOT EXISTS healing (
    Tenant LowCardinality(String),
    Id String,
    Event LowCardinality(String),
    DetectionId String,
    FixType LowCardinality(String),
    Risk LowCardinality(String),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    At DateTime64(9),
    Reason String,
    Json String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(At)
ORDER BY (Tenant, Id, Event, At)
TTL toDate(At) + toIntervalDay(90);

CREATE TABLE IF NOT EXISTS approvals AS healing
ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(At) ORDER BY (Tenant, Id, Event, At)
TTL toDate(At) + toIntervalDay(90);

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

CREATE TABLE IF NOT EXISTS dead_letters (
    At DateTime64(9),
    Stage LowCardinality(String),
    Topic LowCardinality(String),
    Offset UInt64,
    ErrorClass LowCardinality(String),
    ErrorText String,
    Size UInt64
) ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(At)
ORDER BY (Stage, Topic, Offset, At)
TTL toDate(At) + toIntervalDay(90)
