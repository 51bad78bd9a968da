-- Normalised steps: the highest revision of a span counts, a retracted one does not.
CREATE TABLE IF NOT EXISTS agent_steps (
    Tenant LowCardinality(String),
    RunId String CODEC(ZSTD(1)),
    TraceId String CODEC(ZSTD(1)),
    SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)),
    Revision UInt32,
    Retracted Bool,
    IsRoot Bool,
    Kind LowCardinality(String),
    Name LowCardinality(String),
    Start DateTime64(9) CODEC(Delta(8), ZSTD(1)),
    Duration UInt64 CODEC(ZSTD(1)),
    Service LowCardinality(String),
    Framework LowCardinality(String),
    Dialect LowCardinality(String),
    Scope LowCardinality(String),
    Agent LowCardinality(String),
    Node LowCardinality(String),
    Workflow LowCardinality(String),
    ConversationId String CODEC(ZSTD(1)),
    User String CODEC(ZSTD(1)),
    Provider LowCardinality(String),
    Model LowCardinality(String),
    ResponseId String CODEC(ZSTD(1)),
    Finish LowCardinality(String),
    Tool LowCardinality(String),
    ToolCallId String CODEC(ZSTD(1)),
    Args String CODEC(ZSTD(1)),
    ArgsHash String CODEC(ZSTD(1)),
    ArgsSize UInt64,
    Result String CODEC(ZSTD(1)),
    ResultHash String CODEC(ZSTD(1)),
    ResultSize UInt64,
    Input String CODEC(ZSTD(1)),
    InputHash String CODEC(ZSTD(1)),
    InputSize UInt64,
    Output String CODEC(ZSTD(1)),
    OutputHash String CODEC(ZSTD(1)),
    OutputSize UInt64,
    SystemPrompt String CODEC(ZSTD(1)),
    Calls String CODEC(ZSTD(1)),
    Answers String CODEC(ZSTD(1)),
    HasUsage Bool,
    InputTokens UInt64,
    OutputTokens UInt64,
    CacheReadTokens UInt64,
    CacheWriteTokens UInt64,
    ReasoningTokens UInt64,
    MaxTokens UInt64,
    CostUsd Nullable(Float64),
    State String CODEC(ZSTD(1)),
    StateHash String CODEC(ZSTD(1)),
    StateSize UInt64,
    Error String CODEC(ZSTD(1)),
    ErrorType LowCardinality(String),
    TransferFrom LowCardinality(String),
    TransferTo LowCardinality(String),
    Acknowledged Nullable(Bool),
    Metrics String CODEC(ZSTD(1)),
    Links String CODEC(ZSTD(1)),
    INDEX idx_trace_id TraceId TYPE bloom_filter(0.001) GRANULARITY 1
) ENGINE = ReplacingMergeTree(Revision)
PARTITION BY toDate(Start)
ORDER BY (Tenant, RunId, Start, SpanId)
TTL toDate(Start) + toIntervalDay(90)
SETTINGS ttl_only_drop_parts = 1;

CREATE VIEW IF NOT EXISTS agent_steps_latest AS
SELECT *, row_number() OVER (PARTITION BY Tenant, RunId ORDER BY Start, SpanId) - 1 AS Sequence
FROM agent_steps FINAL WHERE NOT Retracted;

-- Runs, added up from their steps.
CREATE VIEW IF NOT EXISTS runs AS
SELECT
    Tenant, RunId, anyIf(Service, Service != '') AS Service, anyIf(Framework, Framework != '') AS Framework,
    anyIf(ConversationId, ConversationId != '') AS ConversationId,
    min(Start) AS Started, max(Start + toIntervalNanosecond(Duration)) AS Ended,
    arraySort(groupUniqArrayIf(Agent, Agent != '')) AS Agents,
    count() AS Steps, countIf(Kind = 'llm') AS LlmCalls, countIf(Kind = 'tool') AS ToolCalls,
    countIf(Error != '' OR ErrorType != '') AS Errors,
    sum(s.InputTokens) AS InputTokens, sum(s.OutputTokens) AS OutputTokens
FROM agent_steps AS s FINAL WHERE NOT Retracted GROUP BY Tenant, RunId
