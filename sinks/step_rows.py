"""Steps as rows of `agent_steps` and back again: every field is a column, named once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.step import Metric, SpanRef, Step, ToolAnswer, ToolCall, Usage

LARGEST_COUNT = 2**63 - 1
LARGEST_REVISION = 2**32 - 1
NO_USAGE = Usage()

TEXT_COLUMNS = {
    "Tenant": "tenant",
    "RunId": "run_id",
    "TraceId": "trace_id",
    "SpanId": "span_id",
    "ParentSpanId": "parent_span_id",
    "Kind": "kind",
    "Name": "name",
    "Service": "service",
    "Framework": "framework",
    "Dialect": "dialect",
    "Scope": "scope",
    "Agent": "agent",
    "Node": "node",
    "Workflow": "workflow",
    "ConversationId": "conversation_id",
    "User": "user",
    "Provider": "provider",
    "Model": "model",
    "ResponseId": "response_id",
    "Finish": "finish",
    "Tool": "tool",
    "ToolCallId": "tool_call_id",
    "Args": "args",
    "ArgsHash": "args_hash",
    "Result": "result",
    "ResultHash": "result_hash",
    "Input": "input_text",
    "InputHash": "input_hash",
    "Output": "output_text",
    "OutputHash": "output_hash",
    "SystemPrompt": "system_prompt",
    "State": "state",
    "StateHash": "state_hash",
    "Error": "error",
    "ErrorType": "error_type",
    "TransferFrom": "transfer_from",
    "TransferTo": "transfer_to",
}
COUNT_COLUMNS = {
    "ArgsSize": "args_size",
    "ResultSize": "result_size",
    "InputSize": "input_size",
    "OutputSize": "output_size",
    "StateSize": "state_size",
    "MaxTokens": "max_tokens",
}
FLAG_COLUMNS = {"Retracted": "retracted", "IsRoot": "is_root"}
OPTIONAL_COLUMNS = {"CostUsd": "cost_usd", "Acknowledged": "acknowledged"}
LIST_COLUMNS: dict[str, tuple[str, msgspec.json.Decoder[Any]]] = {
    "Calls": ("calls", msgspec.json.Decoder(list[ToolCall])),
    "Answers": ("answers", msgspec.json.Decoder(list[ToolAnswer])),
    "Metrics": ("metrics", msgspec.json.Decoder(list[Metric])),
    "Links": ("links", msgspec.json.Decoder(list[SpanRef])),
}
"""Written as JSON, each element as an array of its fields, with what reads it."""
TOKEN_COLUMNS = {
    "InputTokens": "input",
    "OutputTokens": "output",
    "CacheReadTokens": "cache_read",
    "CacheWriteTokens": "cache_write",
    "ReasoningTokens": "reasoning",
}
OWN_COLUMNS: dict[str, Callable[[Step], Any]] = {
    "Revision": lambda step: min(max(step.revision, 0), LARGEST_REVISION),
    "Start": lambda step: step.start_ns,
    "Duration": lambda step: step.duration_ns,
    "HasUsage": lambda step: step.usage is not None,
}
STEP_COLUMNS = (
    *TEXT_COLUMNS,
    *COUNT_COLUMNS,
    *FLAG_COLUMNS,
    *OPTIONAL_COLUMNS,
    *LIST_COLUMNS,
    *TOKEN_COLUMNS,
    *OWN_COLUMNS,
)

_PLAIN = (*TEXT_COLUMNS.values(),)
_REST = (*FLAG_COLUMNS.values(), *OPTIONAL_COLUMNS.values())
_json = msgspec.json.Encoder()


def step_row(step: Step) -> tuple[Any, ...]:
    """Write a step, its values in the order of the columns."""
    usage = step.usage or NO_USAGE
    return (
        *[getattr(step, field) for field in _PLAIN],
        *[_count(getattr(step, field)) for field in COUNT_COLUMNS.values()],
        *[getattr(step, field) for field in _REST],
        *[_list(getattr(step, field)) for field, _ in LIST_COLUMNS.values()],
        *[_count(getattr(usage, field)) for field in TOKEN_COLUMNS.values()],
        *[read(step) for read in OWN_COLUMNS.values()],
    )


def read_step(row: Mapping[str, Any]) -> Step:
    """Read a row back; its `Start` is Unix ns (`toUnixTimestamp64Nano`), and no step ends before it starts."""
    fields = {field: row[column] for column, field in {**TEXT_COLUMNS, **COUNT_COLUMNS, **OPTIONAL_COLUMNS}.items()}
    fields |= {field: bool(row[column]) for column, field in FLAG_COLUMNS.items()}
    for column, (field, decoder) in LIST_COLUMNS.items():
        fields[field] = decoder.decode(row[column]) if row[column] else ()
    tokens = {field: row[column] for column, field in TOKEN_COLUMNS.items()}
    start = int(row["Start"])
    return Step(
        **fields,
        revision=row["Revision"],
        start_ns=start,
        end_ns=start + int(row["Duration"]),
        usage=Usage(**tokens) if row["HasUsage"] else None,
    )


def _count(value: int) -> int:
    return min(max(value, 0), LARGEST_COUNT)


def _list(values: Any) -> str:
    return _json.encode(values).decode() if values else ""
