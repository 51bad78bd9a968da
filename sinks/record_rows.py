"""Steps, detections, usage and dead letters as rows of our own tables; columns are named once, with their values."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from collector.bus.protocol import Record
from schemas.step import Step, Usage
from schemas.timestamps import unix_ns
from schemas.usage import UsageRecord

NO_USAGE = Usage()

STEP_COLUMNS: dict[str, Callable[[Step], Any]] = {
    "Tenant": lambda step: step.tenant,
    "RunId": lambda step: step.run_id,
    "TraceId": lambda step: step.trace_id,
    "SpanId": lambda step: step.span_id,
    "ParentSpanId": lambda step: step.parent_span_id,
    "Revision": lambda step: step.revision,
    "Retracted": lambda step: step.retracted,
    "IsRoot": lambda step: step.is_root,
    "Kind": lambda step: step.kind,
    "Name": lambda step: step.name,
    "Start": lambda step: step.start_ns,
    "Duration": lambda step: step.duration_ns,
    "Service": lambda step: step.service,
    "Framework": lambda step: step.framework,
    "Dialect": lambda step: step.dialect,
    "Agent": lambda step: step.agent,
    "Node": lambda step: step.node,
    "Workflow": lambda step: step.workflow,
    "ConversationId": lambda step: step.conversation_id,
    "User": lambda step: step.user,
    "Provider": lambda step: step.provider,
    "Model": lambda step: step.model,
    "Finish": lambda step: step.finish,
    "Tool": lambda step: step.tool,
    "ToolCallId": lambda step: step.tool_call_id,
    "Args": lambda step: step.args,
    "ArgsHash": lambda step: step.args_hash,
    "Result": lambda step: step.result,
    "ResultHash": lambda step: step.result_hash,
    "Input": lambda step: step.input_text,
    "Output": lambda step: step.output_text,
    "InputTokens": lambda step: _tokens((step.usage or NO_USAGE).input),
    "OutputTokens": lambda step: _tokens((step.usage or NO_USAGE).output),
    "CacheReadTokens": lambda step: _tokens((step.usage or NO_USAGE).cache_read),
    "CacheWriteTokens": lambda step: _tokens((step.usage or NO_USAGE).cache_write),
    "ReasoningTokens": lambda step: _tokens((step.usage or NO_USAGE).reasoning),
    "CostUsd": lambda step: step.cost_usd,
    "State": lambda step: step.state,
    "StateHash": lambda step: step.state_hash,
    "Error": lambda step: step.error,
    "ErrorType": lambda step: step.error_type,
    "TransferTo": lambda step: step.transfer_to,
}
USAGE_COLUMNS: dict[str, Callable[[UsageRecord], Any]] = {
    "Tenant": lambda used: used.tenant,
    "TraceId": lambda used: used.trace_id,
    "SpanId": lambda used: used.span_id,
    "Sequence": lambda used: used.sign_seq,
    "RunId": lambda used: used.run_id,
    "Service": lambda used: used.service,
    "Agent": lambda used: used.agent,
    "Framework": lambda used: used.framework,
    "Model": lambda used: used.model,
    "Provider": lambda used: used.provider,
    "At": lambda used: used.at_ns,
    "Input": lambda used: used.input,
    "Output": lambda used: used.output,
    "CacheRead": lambda used: used.cache_read,
    "CacheWrite": lambda used: used.cache_write,
    "Reasoning": lambda used: used.reasoning,
    "CostUsd": lambda used: used.cost_usd or 0.0,
    "Priced": lambda used: used.cost_usd is not None,
}

Document = Mapping[str, Any]
DETECTION_COLUMNS: dict[str, Callable[[Document], Any]] = {
    "Tenant": lambda d: d["tenant"],
    "Id": lambda d: d["id"],
    "Version": lambda d: d["version"],
    "Type": lambda d: d["type"],
    "Processor": lambda d: d["processor"],
    "Tier": lambda d: d["tier"],
    "Confidence": lambda d: d["confidence"],
    "ConfidenceTier": lambda d: d["confidence_tier"],
    "Severity": lambda d: d["severity"],
    "Score": lambda d: d["score"],
    "Status": lambda d: d["status"],
    "Service": lambda d: d["service"] or "",
    "Agent": lambda d: d["agent"] or "",
    "Framework": lambda d: d["framework"] or "",
    "TraceId": lambda d: d["trace_id"],
    "RunId": lambda d: d["run_id"],
    "ConversationId": lambda d: d["conversation_id"] or "",
    "Replaces": lambda d: d["replaces"] or "",
    "SpanIds": lambda d: d["span_ids"],
    "Title": lambda d: d["title"],
    "Explanation": lambda d: d["explanation"],
    "Evidence": lambda d: orjson.dumps(d["evidence"]).decode(),
    "FixType": lambda d: (d["suggested_fix"] or {}).get("fix_type", ""),
    "FixRisk": lambda d: (d["suggested_fix"] or {}).get("risk", ""),
    "EventTime": lambda d: unix_ns(d["event_time"]),
    "DetectedAt": lambda d: unix_ns(d["detected_at"]),
    "CostUsd": lambda d: d["cost_usd"],
}
DEAD_LETTER_COLUMNS = ("At", "Stage", "Topic", "Offset", "ErrorClass", "ErrorText", "Size")


def step_row(step: Step) -> tuple[Any, ...]:
    """Write a step."""
    return tuple(read(step) for read in STEP_COLUMNS.values())


def usage_row(used: UsageRecord) -> tuple[Any, ...]:
    """Write what a call used."""
    return tuple(read(used) for read in USAGE_COLUMNS.values())


def detection_row(value: bytes) -> tuple[int, tuple[Any, ...]]:
    """Write a detection, the whole document beside its fields; raises ValueError or KeyError for what is none."""
    document = orjson.loads(value)
    row = tuple(read(document) for read in DETECTION_COLUMNS.values())
    return unix_ns(document["detected_at"]), (*row, value.decode())


def dead_letter_row(record: Record) -> tuple[int, tuple[Any, ...]]:
    """Write a dead letter: what happened to it, not what is in it."""
    headers = {name: value.decode("utf-8", "replace") for name, value in record.headers.items()}
    row = (
        record.append_ns,
        headers.get("stage", ""),
        headers.get("original-topic", ""),
        int(headers.get("original-offset", "0")),
        headers.get("error-class", ""),
        headers.get("error-text", ""),
        int(headers.get("original-size", "0")),
    )
    return record.append_ns, row


def _tokens(count: int) -> int:
    return min(2**63 - 1, max(0, count))
