"""`${env:VAR:-default}` and its kin: the Collector's expansion of values.

`${VAR}` is `${env:VAR}`, a default may hold further references, `$$` is a dollar sign, a naked `$VAR` is left alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*\Z")
DEEPEST = 16


class ExpansionError(ValueError):
    """A reference that cannot be expanded; says why."""


def expand(text: str, environment: Mapping[str, str], depth: int = 0) -> str:
    """Replace every reference in a text; a variable that is not set and has no default becomes empty."""
    if "$" not in text:
        return text
    if depth > DEEPEST:
        raise ExpansionError(f"references are nested more than {DEEPEST} deep")
    parts: list[str] = []
    at = 0
    while (found := text.find("$", at)) >= 0:
        parts.append(text[at:found])
        replacement, at = _one(text, found, environment, depth)
        parts.append(replacement)
    return "".join([*parts, text[at:]])


def _one(text: str, at: int, environment: Mapping[str, str], depth: int) -> tuple[str, int]:
    """Expand what begins at a dollar sign; returns it and where to go on."""
    following = text[at + 1 : at + 2]
    if following == "$":
        return "$", at + 2
    if following != "{":
        return "$", at + 1
    end = _closing(text, at + 2)
    return _value(text[at + 2 : end], environment, depth), end + 1


def _closing(text: str, at: int) -> int:
    depth = 1
    for index in range(at, len(text)):
        if text.startswith("${", index):
            depth += 1
        elif text[index] == "}":
            depth -= 1
            if depth == 0:
                return index
    raise ExpansionError("a '${' is not closed")


def _value(reference: str, environment: Mapping[str, str], depth: int) -> str:
    head, separator, default = reference.partition(":-")
    scheme, colon, name = head.partition(":")
    if not colon:
        scheme, name = "env", scheme
    if scheme != "env":
        raise ExpansionError(f"'${{{scheme}:...}}' is not supported, only '${{env:NAME}}'")
    if not NAME.match(name):
        raise ExpansionError(f"environment variable {name!r} has an invalid name")
    value = environment.get(name, "")
    if value == "" and separator:
        return expand(default, environment, depth + 1)
    return value
