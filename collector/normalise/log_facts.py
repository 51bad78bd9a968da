"""What a log record says about the span it names: content that instruments send apart, arguments, a cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collector.normalise import messages as said
from collector.normalise.attributes import Event, attributes, plain
from collector.normalise.content import DETAILS, HEARD, heard_fields, heard_in, spoke_fields, spoke_in
from collector.normalise.unwrap import arguments, parsed
from collector.normalise.usage import amount
from schemas.step import Step, ToolCall

CHOICES = ("gen_ai.choice", DETAILS)
CLAUDE_CODE = "claude_code."
TOOL_RESULT, API_REQUEST, RESPONSE = "tool_result", "api_request", "assistant_response"
Fact = tuple[int, str, dict[str, Any], Any]
"""A log record as it is kept: time, event name, attributes, body."""


def fact_of(record: Any) -> Fact | None:
    """Read a log record; None where it says nothing we know how to use."""
    fields = attributes(record.attributes)
    body = plain(record.body)
    name = record.event_name or str(fields.get("event.name") or "")
    if isinstance(body, str) and body.startswith(CLAUDE_CODE):
        name = body.removeprefix(CLAUDE_CODE)
        return (record.time_unix_nano, name, fields, None) if name in (TOOL_RESULT, API_REQUEST, RESPONSE) else None
    if name in HEARD or name in CHOICES:
        return (record.time_unix_nano or record.observed_time_unix_nano, name, fields, parsed(body))
    return None


def fields_from(facts: Sequence[Fact], step: Step) -> dict[str, Any]:
    """Give the fields that logs add to a step: only what the span itself left empty."""
    events = [Event(name, fields, body) for _, name, fields, body in sorted(facts, key=_when)]
    found: dict[str, Any] = {}
    heard, spoke = heard_in(events), spoke_in(events)
    if heard and not step.input_text and not step.answers:
        found |= heard_fields(heard)
    if spoke and not step.output_text and not step.calls:
        found |= spoke_fields(spoke)
    for event in events:
        if event.name == RESPONSE and not step.output_text:
            found |= spoke_fields([said.Message("assistant", [str(event.content("response") or "")])])
    return found


def arguments_told(facts: Sequence[Fact], call_id: str) -> Any:
    """Give the arguments that a record about the whole interaction tells of one tool call; None where none does."""
    for _, name, fields, _ in sorted(facts, key=_when):
        if name == TOOL_RESULT and fields.get("tool_use_id") == call_id:
            return arguments(fields.get("tool_input") or fields.get("tool_parameters"))
    return None


def calls_told_by(fact: Fact) -> list[str]:
    """List the ids of the tool calls that a record tells of."""
    _, name, fields, body = fact
    if name == TOOL_RESULT:
        return [str(fields["tool_use_id"])] if fields.get("tool_use_id") else []
    events = [Event(name, fields, body)]
    asked = [call.id for one in spoke_in(events) for call in one.calls]
    return [*asked, *(answer.id for one in heard_in(events) for answer in one.answers)]


def _when(fact: Fact) -> tuple[int, str]:
    return (fact[0], fact[1])


def cost_of(fact: Fact) -> float | None:
    """Read what a model call cost, where a log record says so."""
    return amount(fact[2].get("cost_usd")) if fact[1] == API_REQUEST else None


def asked_for(calls: Sequence[ToolCall], call_id: str) -> ToolCall | None:
    """Find a tool call by its id."""
    return next((call for call in calls if call.id and call.id == call_id), None)
