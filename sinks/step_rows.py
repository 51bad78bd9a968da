"""Steps as rows of `agent_steps` and back again: every field is a column, named once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import astuple

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
"""In the order of the fields of `Usage`."""
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

_FIELDS = {field: number for number, field in enumerate(Step.__struct_fields__)}
_json = msgspec.json.Encoder()


def step_columns(steps: Sequence[tuple[Any, ...]]) -> list[Sequence[Any]]:
    """Make columns of steps, each given as all of its fields in their order (`msgspec.structs.astuple`)."""
    fields = list(zip(*steps, strict=True))
    by_name = {field: fields[number] for field, number in _FIELDS.items()}
    return [
        *(by_name[field] for field in TEXT_COLUMNS.values()),
        *(_within(by_name[field]) for field in COUNT_COLUMNS.values()),
        *(by_name[field] for field in (*FLAG_COLUMNS.values(), *OPTIONAL_COLUMNS.values())),
        *(_lists(by_name[field]) for field, _ in LIST_COLUMNS.values()),
        *_tokens(by_name["usage"]),
        _within(by_name["revision"], LARGEST_REVISION),
        by_name["start_ns"],
        [max(0, end - start) for start, end in zip(by_name["start_ns"], by_name["end_ns"], strict=True)],
        [usage is not None for usage in by_name["usage"]],
    ]


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


def _within(counts: Sequence[int], largest: int = LARGEST_COUNT) -> Sequence[int]:
    """Bring what spans say of themselves within what a column holds."""
    if min(counts) >= 0 and max(counts) <= largest:
        return counts
    return [min(max(count, 0), largest) for count in counts]


def _lists(column: Sequence[Any]) -> Sequence[str]:
    return [_json.encode(values).decode() if values else "" for values in column] if any(column) else [""] * len(column)


def _tokens(usages: Sequence[Usage | None]) -> list[Sequence[int]]:
    """Make a column of each figure of what was used."""
    if not any(usages):
        return [[0] * len(usages)] * len(TOKEN_COLUMNS)
    rows = zip(*(astuple(usage or NO_USAGE) for usage in usages), strict=True)
    return [_within(column) for column in rows]
