"""Short texts that come again and again, arguments and answers in a history sent with every call, read once.

Pure functions of the text behind a bounded cache; what is long is read each time, so that the cache stays small.
"""

from __future__ import annotations

from functools import lru_cache

from collector.normalise.unwrap import parsed, result, text_of
from schemas.canonical import canonical, content_hash
from schemas.step import TEXT_CAP

REMEMBERED = 4_096
LENGTH_CAP = 1_024
"""Characters of a text that is remembered: the caches take no more than a few MiB each."""


def arguments_of(asked: object) -> tuple[str, str]:
    """Give a call's arguments as canonical JSON, capped, and the hash of the whole."""
    return _arguments_of(asked) if type(asked) is str and len(asked) <= LENGTH_CAP else _read_arguments(asked)


def answer_of(body: object) -> tuple[str, str]:
    """Give the hash of a tool's unwrapped answer, and the answer as a text, capped."""
    return _answer_of(body) if type(body) is str and len(body) <= LENGTH_CAP else _read_answer(body)


def _read_arguments(asked: object) -> tuple[str, str]:
    data = canonical(parsed(asked))
    return data.decode()[:TEXT_CAP], content_hash(data)


def _read_answer(body: object) -> tuple[str, str]:
    read = result(body)
    return content_hash(canonical(read)), text_of(read)[:TEXT_CAP]


_arguments_of = lru_cache(maxsize=REMEMBERED)(_read_arguments)
_answer_of = lru_cache(maxsize=REMEMBERED)(_read_answer)
