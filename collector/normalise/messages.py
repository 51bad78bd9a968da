"""Messages of a conversation, in every shape they are sent in, as texts, tool calls and tool answers.

Shapes: OpenTelemetry's parts, OpenAI's `content` and `tool_calls`, Anthropic's and Bedrock's blocks, Google's parts,
LangChain's constructors, and the flattened attributes of OpenInference and OpenLLMetry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from collector.normalise.unwrap import parsed, result, text_of
from schemas.canonical import canonical, content_hash
from schemas.step import NAME_CAP, TEXT_CAP, ToolAnswer, ToolCall

CALLS_CAP = 32
MESSAGES_CAP = 2_000
DEEPEST = 12
FIRST_FIELDS = ("message.role", "role", "message.content", "content")
"""What the first flattened message has at least one of."""
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "AIMessage": "assistant", "HumanMessage": "user"}


@dataclass
class Message:
    """One message."""

    role: str = ""
    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    answers: list[ToolAnswer] = field(default_factory=list)
    finish: str = ""

    @property
    def text(self) -> str:
        """What it says."""
        return "\n".join(text for text in self.texts if text)


def messages(value: Any, role: str = "") -> list[Message]:
    """Read messages from an attribute, an event or a log body."""
    read = parsed(value)
    if isinstance(read, str):
        return [Message(role, [read])] if read else []
    if isinstance(read, dict):
        return _from_mapping(read, role, 0)
    if isinstance(read, list):
        return _from_list(read, role)
    return []


def _from_mapping(read: dict[str, Any], role: str, depth: int) -> list[Message]:
    for envelope in ("messages", "contents", "prompt", "generations", "choices", "inputs"):
        inner = parsed(read.get(envelope))
        if isinstance(inner, list) and inner and depth < DEEPEST:
            return [*_system(read), *_from_list(inner, role)]
    return [message(read, role)]


def _system(read: dict[str, Any]) -> Iterator[Message]:
    system = read.get("system")
    if isinstance(system, str) and system:
        yield Message("system", [system])


def _from_list(read: list[Any], role: str) -> list[Message]:
    if read and all(isinstance(item, list) for item in read) and read[0] and not isinstance(read[0][0], str):
        return _from_list([one for item in read for one in item], role)
    if read and all(_is_block(item) for item in read):
        return [message({"content": read}, role)]
    return [one for item in read[-MESSAGES_CAP:] if (one := _item(item, role)) is not None]


def _is_block(item: Any) -> bool:
    return isinstance(item, dict) and "role" not in item and bool(item.keys() & {"text", "toolUse", "toolResult"})


def _item(item: Any, role: str) -> Message | None:
    if isinstance(item, dict):
        return message(item, role)
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
        return Message(ROLES.get(item[0], item[0]), [text_of(item[1])])
    return Message(role, [text_of(item)]) if item else None


def message(read: dict[str, Any], role: str = "") -> Message:
    """Read one message."""
    for envelope in ("kwargs", "data", "message"):
        inner = parsed(read.get(envelope))
        if isinstance(inner, dict) and inner.keys() & {"content", "parts", "tool_calls", "kwargs", "role"}:
            merged = {"type": read.get("type"), **inner, "finish_reason": read.get("finish_reason")}
            return message(merged, _role(read, role))
    if read.get("type") in ("function_call", "function_call_output"):
        return _response_item(read)
    made = Message(_role(read, role))
    made.finish = str(read.get("finish_reason") or "")[:NAME_CAP]
    if made.role == "tool" or read.get("tool_call_id"):
        identity = read.get("tool_call_id") or read.get("id") or ""
        body = read.get("parts") if "parts" in read else read.get("content")
        if not (isinstance(body, list) and any(_is_answer(part) for part in body)):
            made.answers.append(_answer(identity, read.get("name"), body))
            made.role = "tool"
            return made
    _parts(made, read.get("parts") if read.get("parts") is not None else read.get("content"), 0)
    for call in _listed(read.get("tool_calls")):
        _call(made, call)
    return made


def _response_item(read: dict[str, Any]) -> Message:
    """Read an item of OpenAI's responses; its `id` names the item, `call_id` the call."""
    if read["type"] == "function_call":
        made = Message("assistant")
        _call(made, {**read, "id": read.get("call_id")})
    else:
        made = Message("tool", answers=[_answer(read.get("call_id"), read.get("name"), read.get("output"))])
    return made


def _is_answer(part: Any) -> bool:
    return isinstance(part, dict) and bool(
        part.get("type") in ("tool_call_response", "tool_result")
        or part.keys() & {"toolResult", "function_response", "functionResponse"}
    )


def _role(read: dict[str, Any], otherwise: str) -> str:
    role = read.get("role") or otherwise
    if not role:
        identity = read.get("id")
        role = identity[-1] if isinstance(identity, list) and identity else read.get("type") or ""
    return ROLES.get(str(role), str(role).removesuffix("Message").lower() or otherwise)


def _listed(value: Any) -> list[Any]:
    read = parsed(value)
    return read if isinstance(read, list) else []


def _parts(made: Message, content: Any, depth: int) -> None:
    read = parsed(content) if not isinstance(content, str) or content[:1] in "[{" else content
    if isinstance(read, str):
        made.texts.append(read)
    elif isinstance(read, dict):
        _part(made, read, depth)
    elif isinstance(read, list):
        for part in read:
            if isinstance(part, dict):
                _part(made, part, depth)
            elif part is not None:
                made.texts.append(text_of(part))


def _part(made: Message, part: dict[str, Any], depth: int) -> None:
    kind = part.get("type")
    if kind in ("tool_call", "tool_use", "function_call", "tool-call", "server_tool_call"):
        _call(made, part)
    elif kind in ("tool_call_response", "tool_result", "tool-result", "server_tool_call_response"):
        body = next(
            (part[key] for key in ("response", "result", "content", "output") if part.get(key) is not None), None
        )
        identity = part.get("id") or part.get("tool_use_id") or part.get("toolCallId") or ""
        made.answers.append(_answer(identity, part.get("name") or part.get("toolName"), body))
    elif isinstance(part.get("toolUse"), dict):
        _call(made, part["toolUse"])
    elif isinstance(part.get("toolResult"), dict):
        made.answers.append(_answer(part["toolResult"].get("toolUseId"), None, part["toolResult"].get("content")))
    elif isinstance(called := part.get("function_call") or part.get("functionCall"), dict):
        _call(made, called)
    elif isinstance(given := part.get("function_response") or part.get("functionResponse"), dict):
        made.answers.append(_answer(given.get("id"), given.get("name"), given.get("response")))
    elif depth < DEEPEST and kind not in ("reasoning", "blob", "uri", "file", "image_url", "image"):
        text = part.get("text") if part.get("text") is not None else part.get("content")
        if text is not None:
            _text_part(made, text, depth)


def _text_part(made: Message, text: Any, depth: int) -> None:
    """Take in a text; the repr of a tool call that some instrumentation put there is read as the call it is."""
    read = parsed(text) if isinstance(text, str) and "function_call" in text[:4_096] else text
    if isinstance(read, dict) and read.get("type") == "function_call":
        _call(made, {"id": read.get("call_id"), "name": read.get("name"), "arguments": read.get("arguments")})
    else:
        _parts(made, text, depth + 1)


def _call(made: Message, call: Any) -> None:
    if not isinstance(call, dict) or len(made.calls) >= CALLS_CAP:
        return
    inner = call["function"] if isinstance(call.get("function"), dict) else call
    keys = ("arguments", "args", "input", "parameters")
    asked = next((inner[key] for key in keys if inner.get(key) is not None), None)
    identity = next((call[key] for key in ("id", "toolUseId", "toolCallId", "call_id") if call.get(key)), "")
    name = inner.get("name") or inner.get("toolName") or ""
    made.calls.append(tool_call(str(identity), str(name), asked))


def tool_call(identity: str, name: str, asked: Any) -> ToolCall:
    """Make a tool call; its arguments are canonical, so that equal calls are equal."""
    if asked is None:
        return ToolCall(identity[:NAME_CAP], name[:NAME_CAP])
    data = canonical(parsed(asked))
    return ToolCall(identity[:NAME_CAP], name[:NAME_CAP], data.decode()[:TEXT_CAP], content_hash(data))


def _answer(identity: Any, name: Any, body: Any) -> ToolAnswer:
    read = result(body)
    data = canonical(read)
    return ToolAnswer(
        str(identity or "")[:NAME_CAP], str(name or "")[:NAME_CAP], content_hash(data), text_of(read)[:TEXT_CAP]
    )


def flattened(attributes: dict[str, Any], prefix: str) -> list[Message]:
    """Read flattened messages: `PREFIX.N.message.role` (OpenInference), `PREFIX.N.role` (OpenLLMetry)."""
    if not any(f"{prefix}.{number}.{field}" in attributes for number in (0, 1) for field in FIRST_FIELDS):
        return []
    found: dict[int, dict[str, Any]] = {}
    for key, value in attributes.items():
        if not key.startswith(prefix) or key[len(prefix) : len(prefix) + 1] != ".":
            continue
        number, _, rest = key[len(prefix) + 1 :].partition(".")
        if number.isdigit() and len(found) < MESSAGES_CAP:
            found.setdefault(int(number), {})[rest.removeprefix("message.")] = value
    return [_from_flat(found[number]) for number in sorted(found)]


def _from_flat(fields: dict[str, Any]) -> Message:
    read: dict[str, Any] = {
        key: fields.get(key) for key in ("role", "content", "tool_call_id", "finish_reason", "name")
    }
    contents = [fields[key] for key in sorted(fields) if key.startswith(("contents.", "content.")) and _says(key)]
    if contents and not read["content"]:
        read["content"] = "\n".join(text_of(one) for one in contents)
    made = message(read)
    for call in _flat_calls(fields).values():
        _call(made, call)
    return made


def _says(key: str) -> bool:
    return key.endswith((".text", ".content")) or key.rsplit(".", 1)[-1].isdigit()


def _flat_calls(fields: dict[str, Any]) -> dict[int, dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for key, value in fields.items():
        if key.startswith("tool_calls."):
            number, _, rest = key.removeprefix("tool_calls.").partition(".")
            name = rest.removeprefix("tool_call.").removeprefix("function.")
            if number.isdigit() and name in ("id", "name", "arguments"):
                calls.setdefault(int(number), {})[name] = value
    return calls


def newest(said: Sequence[Message]) -> Sequence[Message]:
    """Give what came in since the model last spoke; all of it where that cannot be told."""
    last = next((number for number in range(len(said) - 1, -1, -1) if said[number].role == "assistant"), -1)
    return said[last + 1 :] or said[-1:]


def joined(said: Iterable[Message], *roles: str) -> str:
    """Join what messages say, of these roles or of all."""
    return "\n".join(one.text for one in said if (not roles or one.role in roles) and one.text)
