-- Tokens and money of each call. A correction is a row of its own with negative amounts, so sums are right.
-- Rows are unique by (tenant, trace, span, sequence), so a repeated batch changes nothing.
CREATE TABLE IF NOT EXISTS cost_metrics_rows (
    Tenant LowCardinality(String),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    Sequence UInt32,
    RunId String CODEC(ZSTD(1)),
    Service LowCardinality(String),
    Agent LowCardinality(String),
    Framework LowCardinality(String),
    Model LowCardinality(String),
    Provider LowCardinality(String),
    At DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Input Int64,
    Output Int64,
    CacheRead Int64,
    CacheWrite Int64,
    Reasoning Int64,
    CostUsd Float64,
    Priced Bool
) ENGINE = ReplacingMergeTree
PARTITION BY toDate(At)
ORDER BY (Tenant, TraceId, SpanId, Sequence)
TTL toDate(At) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1;

CREATE VIEW IF NOT EXISTS cost_metrics AS
SELECT
    Tenant, Service, Agent, Framework, Model, Provider, toStartOfHour(At) AS Hour,
    sum(r.Input) AS Input, sum(r.Output) AS Output, sum(r.CacheRead) AS CacheRead, sum(r.CacheWrite) AS CacheWrite,
    sum(r.Reasoning) AS Reasoning, sum(r.CostUsd) AS CostUsd, uniqExact(TraceId, SpanId) AS Calls
FROM cost_metrics_rows AS r FINAL
GROUP BY Tenant, Service, Agent, Framework, Model, Provider, Hour
