-- Runs that ended: what each used, how it ended and what went wrong; of each the highest version counts.
CREATE TABLE IF NOT EXISTS run_summaries (
    Tenant LowCardinality(String),
    RunId String CODEC(ZSTD(1)),
    Version UInt64,
    TraceId String CODEC(ZSTD(1)),
    Service LowCardinality(String),
    Framework LowCardinality(String),
    Agent LowCardinality(String),
    ConversationId String CODEC(ZSTD(1)),
    Started DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Ended DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Outcome LowCardinality(String),
    Steps UInt64,
    LlmCalls UInt64,
    ToolCalls UInt64,
    Errors UInt64,
    InputTokens UInt64,
    OutputTokens UInt64,
    CacheReadTokens UInt64,
    CostUsd Float64,
    UnpricedCalls UInt64,
    LlmNs UInt64,
    ToolNs UInt64,
    Tools Map(String, UInt64),
    Agents Array(String),
    Models Array(String),
    Blames Bool,
    Failure String CODEC(ZSTD(1)),
    PrimaryDetection String,
    FaultAgent LowCardinality(String),
    FaultTraceId String CODEC(ZSTD(1)),
    FaultSpanId String CODEC(ZSTD(1)),
    FaultStep String CODEC(ZSTD(1)),
    FaultShare Float64,
    Diagnosis String CODEC(ZSTD(1)),
    Json String CODEC(ZSTD(3)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ReplacingMergeTree(Version)
PARTITION BY toYYYYMM(Started)
ORDER BY (Tenant, RunId)
TTL toDate(Started) + toIntervalDay(90);

-- Runs, added up from their steps, with the newest diagnosis of those that ended; the others are 'running'.
CREATE OR REPLACE VIEW runs AS
SELECT
    s.*, if(d.RunId = '', 'running', d.Outcome) AS Outcome, d.CostUsd AS CostUsd, d.Blames AS Blames,
    d.Failure AS Failure, d.FaultAgent AS FaultAgent, d.FaultTraceId AS FaultTraceId, d.FaultSpanId AS FaultSpanId,
    d.FaultStep AS FaultStep, d.Diagnosis AS Diagnosis
FROM (
    SELECT
        Tenant, RunId, anyIf(Service, Service != '') AS Service, anyIf(Framework, Framework != '') AS Framework,
        anyIf(ConversationId, ConversationId != '') AS ConversationId,
        min(Start) AS Started, max(Start + toIntervalNanosecond(Duration)) AS Ended,
        arraySort(groupUniqArrayIf(Agent, Agent != '')) AS Agents,
        count() AS Steps, countIf(Kind = 'llm') AS LlmCalls, countIf(Kind = 'tool') AS ToolCalls,
        countIf(Error != '' OR ErrorType != '') AS Errors,
        sum(t.InputTokens) AS InputTokens, sum(t.OutputTokens) AS OutputTokens
    FROM agent_steps AS t FINAL WHERE NOT Retracted GROUP BY Tenant, RunId
) AS s
LEFT JOIN (
    SELECT
        Tenant, RunId, Outcome, CostUsd, Blames, Failure, FaultAgent, FaultTraceId, FaultSpanId, FaultStep, Diagnosis
    FROM run_summaries FINAL
) AS d ON s.Tenant = d.Tenant AND s.RunId = d.RunId
