"""Steps as rows of `agent_steps` and back again: every field is a column, named once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import attrgetter
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
OWN_COLUMNS = ("Revision", "Start", "Duration", "HasUsage")
STEP_COLUMNS = (
    *TEXT_COLUMNS,
    *COUNT_COLUMNS,
    *FLAG_COLUMNS,
    *OPTIONAL_COLUMNS,
    *LIST_COLUMNS,
    *TOKEN_COLUMNS,
    *OWN_COLUMNS,
)

_own_fields = attrgetter(*TEXT_COLUMNS.values())
_flags = attrgetter(*FLAG_COLUMNS.values(), *OPTIONAL_COLUMNS.values())
_counts = attrgetter(*COUNT_COLUMNS.values())
_lists = attrgetter(*(field for field, _ in LIST_COLUMNS.values()))
_tokens = attrgetter(*TOKEN_COLUMNS.values())
_json = msgspec.json.Encoder()
_NO_LISTS = ("",) * len(LIST_COLUMNS)


def step_row(step: Step) -> tuple[Any, ...]:
    """Write a step, its values in the order of the columns."""
    usage, lists = step.usage, _lists(step)
    return (
        *_own_fields(step),
        *_within(_counts(step)),
        *_flags(step),
        *([_list(values) for values in lists] if any(lists) else _NO_LISTS),
        *_within(_tokens(usage or NO_USAGE)),
        min(max(step.revision, 0), LARGEST_REVISION),
        step.start_ns,
        step.duration_ns,
        usage is not None,
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


def _within(counts: tuple[int, ...]) -> Sequence[int]:
    """Bring what a span says of itself within what a column holds."""
    if min(counts) >= 0 and max(counts) <= LARGEST_COUNT:
        return counts
    return [min(max(count, 0), LARGEST_COUNT) for count in counts]


def _list(values: Any) -> str:
    return _json.encode(values).decode() if values else ""
