"""Forms that a reply can be asked for in: which one a message asks for, and whether a reply has it."""

from __future__ import annotations

import re

import orjson

_ASKED = re.compile(
    r"\b(?:in|as|return|output|with)\s+(?:an?\s+)?(?:valid\s+|raw\s+|single\s+|markdown\s+)?"
    r"(json|yaml|xml|csv|table)(?:\s+(?:format|object|array|list)\b|\s*(?=[.,;:!?)]|$|\n))",
    re.IGNORECASE,
)
"""An asking word right before the form, and the end of a phrase right after: not `the field in json files`."""
_COLLECTION_ASKED = re.compile(
    r"\b(?:as|return|output)\s+an?\s+(?:[a-z-]{1,20}\s+){0,2}(list|dictionary|dict)\b(?!\s+of\s+the\b)", re.IGNORECASE
)
_SEPARATOR = re.compile(r"[,;\n\[•|]|\band\b")
_DENIED = re.compile(r"\b(?:not|no|never|without|don't)\b[^.!?\n]{0,20}$", re.IGNORECASE)
_TAG = re.compile(r"<([A-Za-z][\w.-]{0,63})[^<>]{0,200}>")
_PAIR = re.compile(r"^\s{0,40}(?:- )?[\w .-]{1,60}:(?:\s|$)", re.MULTILINE)
LIST, DICTIONARY = "list", "dictionary"
_FORMS = ("json", "yaml", "xml", "csv", "table", "list", "dict")
_WORDS = ("table", LIST, DICTIONARY)
"""Forms whose names are words."""
STARTS_CAP = 8
"""Places in a reply at which JSON is looked for."""


def form_asked(text: str) -> str:
    """Name the one form of reply that a message asks for: JSON, YAML, XML, CSV, table, list, dictionary; else nothing.

    A list or a dictionary is no form beside another one: a table lists, JSON is a dictionary.
    """
    lower = text.lower()
    if not any(form in lower for form in _FORMS):
        return ""
    for pattern in (_ASKED, _COLLECTION_ASKED):
        found = {_name(one.group(1)) for one in pattern.finditer(text) if not _DENIED.search(text, 0, one.start())}
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""


def has_form(text: str, form: str) -> bool:
    """Say whether a reply, or a part of it, has a form; one that asks back or is cut off counts as if it had."""
    if text.rstrip().endswith(("?", "…", "...")):
        return True
    lines = [line for line in text.splitlines() if line.strip()]
    if form in ("JSON", DICTIONARY):
        return _has_json(text)
    if form == LIST:
        return not _is_sentence(text) or _SEPARATOR.search(text.strip()) is not None
    if form == "XML":
        return any(f"</{match.group(1)}>" in text for match in _TAG.finditer(text))
    if form == "YAML":
        return _PAIR.search(text) is not None
    sign = "," if form == "CSV" else "|"
    return sum(sign in line or "\t" in line for line in lines) >= min(2, len(lines))


def _has_json(text: str) -> bool:
    """Say whether JSON stands in a text, or may have: normalising takes texts out of lists, so lines prove nothing.

    Only one line that ends as a sentence does is surely prose, and one line of tags is another form.
    """
    whole = text.strip()
    if not _is_sentence(whole) and not (whole.startswith("<") and whole.endswith(">")):
        return True
    starts = [match.start() for match in re.finditer(r"[{\[]", text)][:STARTS_CAP]
    return any(_is_json(text[start : text.rfind("}" if text[start] == "{" else "]") + 1]) for start in starts)


def _is_sentence(text: str) -> bool:
    """Say whether a text is one line that ends as a sentence does."""
    whole = text.strip()
    return "\n" not in whole and whole.endswith((".", "!"))


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _name(form: str) -> str:
    named = {"dict": DICTIONARY}.get(form.lower(), form.lower())
    return named if named in _WORDS else named.upper()
