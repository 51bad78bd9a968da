"""Messages of a conversation, in every shape they are sent in, as texts, tool calls and tool answers.

Shapes: OpenTelemetry's parts, OpenAI's `content` and `tool_calls`, Anthropic's and Bedrock's blocks, Google's parts,
LangChain's constructors, and the flattened attributes of OpenInference and OpenLLMetry.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from collector.normalise.flattened import MESSAGES_CAP, FlatMessage
from collector.normalise.repeated_texts import answer_of, arguments_of
from collector.normalise.unwrap import parsed, text_of
from schemas.step import NAME_CAP, ToolAnswer, ToolCall

CALLS_CAP = 32
DEEPEST = 12
ROLES = {"human": "user", "ai": "assistant", "model": "assistant", "AIMessage": "assistant", "HumanMessage": "user"}
SPOKEN_ROLES = frozenset({"user", "assistant", "tool"})
PLAIN_ROLES = ("user", "assistant", "system")
PLAIN_KEYS = frozenset({"role", "content", "parts", "finish_reason", "name", "tool_call_id"})
"""What most messages are made of, which then need no closer look at their form."""
ENVELOPES = ("kwargs", "data", "message")
WRAPPED = frozenset({"content", "parts", "tool_calls", "kwargs", "role"})
RESPONSE_ITEMS = ("function_call", "function_call_output")
"""What OpenAI's responses call a tool's call and its answer."""
CALL_PARTS = frozenset({"tool_call", "tool_use", "function_call", "tool-call", "server_tool_call"})
ANSWER_PARTS = frozenset({"tool_call_response", "tool_result", "tool-result", "server_tool_call_response"})
NOT_TEXT_PARTS = frozenset({"reasoning", "blob", "uri", "file", "image_url", "image"})
BLOCK_CALLS = frozenset(
    {"toolUse", "toolResult", "function_call", "functionCall", "function_response", "functionResponse"}
)
"""Keys that make a part a call or an answer without a type."""
CONVERSATIONS = ("messages", "contents", "prompt", "generations", "choices", "inputs")
"""Keys under which a mapping holds messages."""


@dataclass(slots=True)
class Message:
    """One message."""

    role: str = ""
    texts: list[str] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    answers: list[ToolAnswer] = field(default_factory=list)

    @property
    def text(self) -> str:
        """What it says."""
        texts = self.texts
        return texts[0] if len(texts) == 1 else "\n".join([text for text in texts if text])


def messages(value: Any, role: str = "", recent: bool = False) -> list[Message]:
    """Read messages from an attribute, an event or a log body.

    With `recent`, those before the model last spoke are left out, except the system's: `newest` gives the same.
    """
    return messages_in(parsed(value), role, recent)


def messages_in(read: Any, role: str = "", recent: bool = False) -> list[Message]:
    """Read messages from a value that is read already; see `messages`."""
    if isinstance(read, str):
        return [Message(role, [read])] if read else []
    if isinstance(read, dict):
        return _from_mapping(read, role, recent)
    if isinstance(read, list):
        return _from_list(read, role, recent)
    return []


def _from_mapping(read: dict[str, Any], role: str, recent: bool) -> list[Message]:
    for envelope in CONVERSATIONS:
        if envelope in read:
            inner = parsed(read[envelope])
            if isinstance(inner, list) and inner:
                return [*_system(read), *_from_list(inner, role, recent)]
    return [message(read, role)]


def _system(read: dict[str, Any]) -> Iterator[Message]:
    system = read.get("system")
    if isinstance(system, str) and system:
        yield Message("system", [system])


def _from_list(read: list[Any], role: str, recent: bool) -> list[Message]:
    if read and type(read[0]) is list and read[0] and not isinstance(read[0][0], str) and _all_lists(read):
        return _from_list([one for item in read for one in item], role, recent)
    if read and _is_block(read[0]) and all(map(_is_block, read)):
        return [message({"content": read}, role)]
    return _kept(read[-MESSAGES_CAP:], lambda item: _item(item, role), None, recent)


def _all_lists(read: list[Any]) -> bool:
    return all(isinstance(item, list) for item in read)


def _is_block(item: Any) -> bool:
    return (
        isinstance(item, dict) and "role" not in item and ("text" in item or "toolUse" in item or "toolResult" in item)
    )


def _item(item: Any, role: str) -> Message | None:
    if isinstance(item, dict):
        return message(item, role)
    if isinstance(item, list) and len(item) == 2 and isinstance(item[0], str):
        return Message(ROLES.get(item[0], item[0]), [text_of(item[1])])
    return Message(role, [text_of(item)]) if item else None


def message(read: dict[str, Any], role: str = "") -> Message:
    """Read one message."""
    get = read.get
    if get("role") in PLAIN_ROLES and read.keys() <= PLAIN_KEYS and not get("tool_call_id"):
        plain = Message(read["role"])
        parts = get("parts")
        _parts(plain, parts if parts is not None else get("content"), 0)
        return plain
    for envelope in ENVELOPES:
        if envelope in read:
            inner = parsed(read[envelope])
            if isinstance(inner, dict) and not WRAPPED.isdisjoint(inner):
                merged = {"type": get("type"), **inner, "finish_reason": get("finish_reason")}
                return message(merged, _role(read, role))
    if get("type") in RESPONSE_ITEMS:
        return _response_item(read)
    made = Message(_role(read, role))
    if made.role == "tool" or get("tool_call_id"):
        identity = read.get("tool_call_id") or read.get("id") or ""
        body = read.get("parts") if "parts" in read else read.get("content")
        if not (isinstance(body, list) and any(_is_answer(part) for part in body)):
            made.answers.append(_answer(identity, read.get("name"), body))
            made.role = "tool"
            return made
    parts, calls = get("parts"), get("tool_calls")
    _parts(made, parts if parts is not None else get("content"), 0)
    if calls:
        for call in _listed(calls):
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
    if type(role) is str and role in SPOKEN_ROLES:
        return role
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
    named = type(kind) is str
    if named and kind in CALL_PARTS:
        _call(made, part)
    elif named and kind in ANSWER_PARTS:
        body = _first_of(part, "response", "result", "content", "output")
        identity = part.get("id") or part.get("tool_use_id") or part.get("toolCallId") or ""
        made.answers.append(_answer(identity, part.get("name") or part.get("toolName"), body))
    elif not BLOCK_CALLS.isdisjoint(part) and _block(made, part):
        return
    elif depth < DEEPEST and not (named and kind in NOT_TEXT_PARTS):
        text = _first_of(part, "text", "content")
        if text is not None:
            _text_part(made, text, depth)


def _block(made: Message, part: dict[str, Any]) -> bool:
    """Take in a call or an answer that a key of its own marks; says whether it was one."""
    if isinstance(part.get("toolUse"), dict):
        _call(made, part["toolUse"])
    elif isinstance(part.get("toolResult"), dict):
        made.answers.append(_answer(part["toolResult"].get("toolUseId"), None, part["toolResult"].get("content")))
    elif isinstance(called := part.get("function_call") or part.get("functionCall"), dict):
        _call(made, called)
    elif isinstance(given := part.get("function_response") or part.get("functionResponse"), dict):
        made.answers.append(_answer(given.get("id"), given.get("name"), given.get("response")))
    else:
        return False
    return True


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
    asked = _first_of(inner, "arguments", "args", "input", "parameters")
    identity = call.get("id") or call.get("toolUseId") or call.get("toolCallId") or call.get("call_id") or ""
    name = inner.get("name") or inner.get("toolName") or ""
    made.calls.append(tool_call(str(identity), str(name), asked))


def _first_of(read: dict[str, Any], *keys: str) -> Any:
    for key in keys:
        value = read.get(key)
        if value is not None:
            return value
    return None


def tool_call(identity: str, name: str, asked: Any) -> ToolCall:
    """Make a tool call; its arguments are canonical, so that equal calls are equal."""
    if asked is None:
        return ToolCall(identity[:NAME_CAP], name[:NAME_CAP])
    return ToolCall(identity[:NAME_CAP], name[:NAME_CAP], *arguments_of(asked))


def _answer(identity: Any, name: Any, body: Any) -> ToolAnswer:
    return ToolAnswer(str(identity or "")[:NAME_CAP], str(name or "")[:NAME_CAP], *answer_of(body))


def flattened(attributes: dict[str, Any], layout: Sequence[FlatMessage], recent: bool = False) -> list[Message]:
    """Read flattened messages; `recent` as in `messages`."""
    return _kept(layout, lambda flat: _from_flat(flat, attributes), lambda flat: flat.read(attributes), recent)


def _from_flat(flat: FlatMessage, attributes: dict[str, Any]) -> Message:
    made = message(flat.read(attributes))
    for call in flat.calls(attributes):
        _call(made, call)
    return made


Item = TypeVar("Item")


def _kept(
    items: Sequence[Item], make: Callable[[Item], Message | None], mapping: Callable[[Item], Any] | None, recent: bool
) -> list[Message]:
    """Make messages; where only what is recent is asked for, those before the model's last words only if they matter.

    A conversation is sent again with every call, so that reading all of it each time costs its square.
    `mapping` gives an item as a mapping where it is none.
    """
    if not recent or len(items) < 2:
        return [one for one in map(make, items) if one is not None]
    made: list[Message] = []
    end = len(items)
    while end:
        end -= 1
        one = make(items[end])
        if one is not None:
            made.append(one)
            if one.role == "assistant":
                break
    made.reverse()
    if end:
        matter = [item for item in items[:end] if not _is_passed_over(mapping(item) if mapping else item)]
        made[:0] = [one for one in map(make, matter) if one is not None]
    return made


def _is_passed_over(item: Any) -> bool:
    """Say whether an earlier message is surely none of the system's; where it cannot be told it is read."""
    if type(item) is not dict or item.get("type") in RESPONSE_ITEMS or any(key in item for key in ENVELOPES):
        return False
    role = item.get("role")
    return type(role) is str and bool(role) and ROLES.get(role, role.removesuffix("Message").lower()) in SPOKEN_ROLES


def newest(said: Sequence[Message]) -> Sequence[Message]:
    """Give what came in since the model last spoke; all of it where that cannot be told."""
    last = next((number for number in range(len(said) - 1, -1, -1) if said[number].role == "assistant"), -1)
    return said[last + 1 :] or said[-1:]


def joined(said: Iterable[Message], *roles: str) -> str:
    """Join what messages say, of these roles or of all."""
    texts = [one.text for one in said if not roles or one.role in roles]
    return texts[0] if len(texts) == 1 else "\n".join([text for text in texts if text])
