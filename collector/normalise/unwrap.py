"""Takes values out of what instruments wrap them in: JSON in strings, Python reprs, LangChain's envelopes."""

from __future__ import annotations

import ast
from typing import Any

import orjson

REPR_LIMIT = 65_536
DEEPEST = 64
BEGINNINGS = frozenset('[{"(-0123456789tfn')
BRACKET_OPENINGS = frozenset("[{(")
SURELY_TEXT = frozenset("ABCDEGHIJKLMOPQRSUVWXYZabcdeghijklmopqrsuvwxyz<#*`'/")
"""What no JSON and no literal begins with; only the commonest, to be quick."""
BRACKETS = str.maketrans("", "", "[]{}()")


def parsed(value: Any, again: bool = True) -> Any:
    """Read a text that holds JSON, or a Python literal; JSON in JSON too. Anything else comes back unchanged."""
    if not isinstance(value, str):
        return value
    if value[:1] in SURELY_TEXT:
        return value
    text = value.strip()
    if not text or text[0] not in BEGINNINGS or (text[0] not in BRACKET_OPENINGS and not _may_be_json(text)):
        return value
    try:
        read = orjson.loads(text)
    except orjson.JSONDecodeError:
        return _literal(text, value)
    if isinstance(read, str) and again:
        inner = parsed(read, again=False)
        return inner if isinstance(inner, dict | list) else read
    return read


def _may_be_json(text: str) -> bool:
    """Say whether a text that begins with no bracket may be JSON, by how it ends."""
    if text[0] == '"':
        return text[-1] == '"'
    return text[-1].isdigit() if text[0] in "-0123456789" else text in ("true", "false", "null")


def _literal(text: str, otherwise: Any) -> Any:
    """Read a Python literal such as `{'city': 'Paris'}`, within bounds of size and depth."""
    if text[0] not in "[{(" or len(text) > REPR_LIMIT or not _shallow(text):
        return otherwise
    try:
        read = ast.literal_eval(text)
        # A literal may hold what no JSON and no UTF-8 can: such a text stays one.
        orjson.dumps(read, default=str, option=orjson.OPT_NON_STR_KEYS)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return otherwise
    return list(read) if isinstance(read, tuple | set) else read


def _shallow(text: str) -> bool:
    if len(text) - len(text.translate(BRACKETS)) <= DEEPEST:
        return True
    depth = 0
    for char in text:
        if char in "[{(":
            depth += 1
            if depth > DEEPEST:
                return False
        elif char in "]})":
            depth -= 1
    return True


def arguments(value: Any) -> Any:
    """Give a tool's arguments out of what they are wrapped in; None where there are none."""
    read = parsed(value)
    if not isinstance(read, dict):
        return read
    if "inputs" in read and read.keys() & {"input_str", "tags", "metadata"}:
        return parsed(read["inputs"])
    if "kwargs" in read and "args" in read and read.keys() <= {"args", "kwargs", "sanitize_inputs_outputs"}:
        if not read["args"]:
            return read["kwargs"]
        return {"args": read["args"], **read["kwargs"]} if read["kwargs"] else read["args"]
    if "toolUseId" in read and "input" in read:
        return parsed(read["input"])
    if read.keys() == {"input"} and isinstance(parsed(read["input"]), dict):
        return parsed(read["input"])
    return read


def result(value: Any) -> Any:
    """Give a tool's result out of what it is wrapped in: LangChain messages, content blocks, command updates."""
    read = parsed(value)
    for _ in range(6):
        inner = _inner(read)
        if inner is read:
            return read
        read = parsed(inner)
    return read


def _inner(read: Any) -> Any:
    if isinstance(read, list):
        return _from_blocks(read)
    if not isinstance(read, dict):
        return read
    if "kwargs" in read and read.get("type") == "constructor":
        return read["kwargs"]
    if "content" in read and (read.keys() & {"tool_call_id", "response_metadata", "additional_kwargs"}):
        return read["content"]
    if read.keys() <= {"output", "tags", "metadata", "kwargs", "outputs"}:
        return read.get("output", read.get("outputs", read))
    if read.get("type") in ("tool", "ToolMessage") and "data" in read:
        return read["data"]
    return read


def _from_blocks(blocks: list[Any]) -> Any:
    """Give the text of content blocks; lists that are none come back unchanged."""
    texts = [block.get("text") for block in blocks if isinstance(block, dict) and set(block) <= {"text", "type"}]
    if blocks and len(texts) == len(blocks) and all(isinstance(text, str) for text in texts):
        return "\n".join(texts)  # type: ignore[arg-type]  # all are texts
    return blocks


def text_of(value: Any) -> str:
    """Write a value for people: a text as it is, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except (orjson.JSONEncodeError, RecursionError):
        return str(value)[:REPR_LIMIT]
