"""What was asked, answered, heard and said, as the fields of a step: capped texts, and hashes of the whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from collector.normalise import messages as said
from collector.normalise.unwrap import parsed, text_of
from schemas.canonical import canonical, canonical_hash, content_hash
from schemas.step import STATE_CAP, TEXT_CAP


def state_fields(value: Any) -> dict[str, Any]:
    """Give the fields of a step that hold a state."""
    if value is None:
        return {}
    data = canonical(parsed(value))
    text = data.decode()
    return {"state": text[:STATE_CAP], "state_hash": canonical_hash(data), "state_size": len(text)}


def asked_fields(args: Any) -> dict[str, Any]:
    """Give the fields that hold what a tool was asked; the whole is hashed, what is kept is capped."""
    if args is None:
        return {}
    data = canonical(args)
    return {"args": _cut(data), "args_hash": content_hash(data), "args_size": len(data)}


def answered_fields(result: Any) -> dict[str, Any]:
    """Give the fields that hold what a tool answered."""
    if result is None:
        return {}
    data = canonical(result)
    text = result if type(result) is str else text_of(result)
    return {"result": text[:TEXT_CAP], "result_hash": content_hash(data), "result_size": len(data)}


def heard_fields(heard: Sequence[said.Message]) -> dict[str, Any]:
    """Give the fields that hold what came in."""
    new = said.newest(heard)
    text = said.joined(one for one in new if one.role != "system")
    fields: dict[str, Any] = {
        "system_prompt": said.joined(heard, "system")[:TEXT_CAP],
        "answers": [answer for one in new for answer in one.answers][: said.CALLS_CAP],
    }
    if text:
        data = text.encode("utf-8", "replace")
        fields |= {"input_text": text[:TEXT_CAP], "input_hash": content_hash(data), "input_size": len(data)}
    return fields


def spoke_fields(spoke: Sequence[said.Message]) -> dict[str, Any]:
    """Give the fields that hold what was said."""
    text = said.joined(spoke)
    fields: dict[str, Any] = {"calls": [call for one in spoke for call in one.calls][: said.CALLS_CAP]}
    if text:
        data = text.encode("utf-8", "replace")
        fields |= {"output_text": text[:TEXT_CAP], "output_hash": content_hash(data), "output_size": len(data)}
    return fields


HEARD = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
"""Events and log records that hold what came in, and in which role."""
DETAILS = "gen_ai.client.inference.operation.details"


def heard_in(events: Iterable[Any]) -> list[said.Message]:
    """Read what came in out of events or log records."""
    heard: list[said.Message] = []
    for event in events:
        role = HEARD.get(event.name)
        if role is not None:
            heard += _message_of(event, role)
        elif event.name in (DETAILS, "gen_ai.content.prompt"):
            value = event.content("gen_ai.input.messages", "gen_ai.prompt")
            heard += said.messages(value, "user") if value is not None else []
    return heard


def spoke_in(events: Iterable[Any]) -> list[said.Message]:
    """Read what was said out of events or log records."""
    spoke: list[said.Message] = []
    for event in events:
        if event.name == "gen_ai.choice":
            spoke += _message_of(event, "assistant")
        elif event.name in (DETAILS, "gen_ai.content.completion") and not spoke:
            value = event.content("gen_ai.output.messages", "gen_ai.completion")
            spoke += said.messages(value, "assistant") if value is not None else []
    return spoke


def _message_of(event: Any, role: str) -> list[said.Message]:
    body = parsed(event.body)
    if isinstance(body, dict):
        return [said.message(body, role)]
    inner = event.content("message", "content", "gen_ai.event.content")
    read = parsed(inner)
    if role == "tool" and not isinstance(read, list):
        return [said.message({"content": inner, "tool_call_id": event.content("id")}, role)]
    return said.messages(read if read is not None else event.attributes, role)


def _cut(data: bytes) -> str:
    return data.decode() if len(data) <= TEXT_CAP else data[: TEXT_CAP * 4].decode("utf-8", "ignore")[:TEXT_CAP]
