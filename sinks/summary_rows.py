"""Runs' summaries as rows: what people look for as columns, the diagnosis as a document beside them."""

from __future__ import annotations

from typing import Any

import orjson

from schemas.run_document import document_of
from schemas.run_summary import RunSummary, Suspect, decode_summary
from schemas.step import SpanRef
from sinks.record_rows import LARGEST

SUMMARY_COLUMNS = (
    "Tenant",
    "RunId",
    "Version",
    "TraceId",
    "Service",
    "Framework",
    "Agent",
    "ConversationId",
    "Started",
    "Ended",
    "Outcome",
    "Steps",
    "LlmCalls",
    "ToolCalls",
    "Errors",
    "InputTokens",
    "OutputTokens",
    "CacheReadTokens",
    "CostUsd",
    "UnpricedCalls",
    "LlmNs",
    "ToolNs",
    "Tools",
    "Agents",
    "Models",
    "Blames",
    "Failure",
    "PrimaryDetection",
    "FaultAgent",
    "FaultTraceId",
    "FaultSpanId",
    "FaultStep",
    "FaultShare",
    "Diagnosis",
    "Json",
)
NOBODY = Suspect(SpanRef("", ""), "", "", "", 0, 0.0)


def summary_row(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Write a run's summary, and when the run began; raises UnknownSummarySchema or msgspec.DecodeError.

    Who is at fault stands in its columns where anything went wrong that shows; the document has all suspects.
    """
    summary = decode_summary(value)
    figures, diagnosis = summary.figures, summary.diagnosis
    fault = diagnosis.suspects[0] if diagnosis.blames and diagnosis.suspects else NOBODY
    row = (
        *_whose(summary),
        figures.steps,
        figures.llm_calls,
        figures.tool_calls,
        figures.errors,
        figures.input_tokens,
        figures.output_tokens,
        figures.cache_read_tokens,
        figures.cost_usd,
        figures.unpriced_calls,
        min(figures.llm_ns, LARGEST),
        min(figures.tool_ns, LARGEST),
        figures.tools,
        list(figures.agents),
        list(figures.models),
        diagnosis.blames,
        diagnosis.title,
        diagnosis.primary,
        fault.agent,
        fault.span.trace_id,
        fault.span.span_id,
        fault.name,
        fault.share,
        diagnosis.text,
        orjson.dumps(document_of(summary)).decode(),
    )
    return summary.started_ns, row


def _whose(summary: RunSummary) -> tuple[Any, ...]:
    return (
        summary.tenant,
        summary.run_id,
        summary.version,
        summary.trace_id,
        summary.service,
        summary.framework,
        summary.agent,
        summary.conversation_id,
        summary.started_ns,
        min(max(summary.ended_ns, 0), LARGEST),
        summary.outcome,
    )
