-- Metric points as reported: one row a point, never added up.
CREATE TABLE IF NOT EXISTS otel_metrics (
    Timestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    StartTimestamp DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    ServiceName LowCardinality(String),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    MetricName LowCardinality(String),
    MetricUnit LowCardinality(String),
    Kind LowCardinality(String),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    Value Float64,
    Count UInt64
) ENGINE = MergeTree
PARTITION BY toDate(Timestamp)
ORDER BY (ServiceName, MetricName, Timestamp)
TTL toDate(Timestamp) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 10000
