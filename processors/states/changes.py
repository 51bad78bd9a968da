"""What is wrong between two states of one stream: field by field, maps that collapsed, relations that broke."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from processors.states.paths import NAME_CHARS, cut, kind_of, words_of
from processors.states.relations import disordered, holds
from processors.states.rules import Change, changes_of, identity_text_changed, lost
from processors.states.streams import RELATION_HELD, Broken, Stream
from schemas.canonical import content_hash
from schemas.step import Step

HINTS_CAP = 24
SHOWN = 8
RESETS = frozenset({"clear", "reset", "delete", "remove", "flush", "drop", "purge", "archive", "trim", "compact"})
"""Verbs that explain why something is gone, where they name it."""


def wrong_in(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> list[Change]:
    """List what is wrong from one state of a stream to the next."""
    found: list[Change] = []
    for path, old in before.items():
        history = stream.paths.get(path)
        if history is None or history.is_volatile():
            continue
        if path not in after:
            if not any(other.startswith(f"{path}.") for other in after) and not _inside_new_leaf(path, after):
                found.append(lost(path, old, history, stream.seen))
        elif old != after[path]:
            found += changes_of(path, old, after[path], history)
            identity = identity_text_changed(path, old, after[path], history)
            found += [identity] if identity is not None else []
    found += _collapsed(before, after, stream)
    found += _contradictions(before, after, stream)
    return found


def _inside_new_leaf(path: str, after: Mapping[str, Any]) -> bool:
    parts = path.split(".")
    return any(".".join(parts[:length]) in after for length in range(1, len(parts)))


def _collapsed(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> list[Change]:
    """Find maps that are maps no more: their paths are gone, and a value stands where they began."""
    found: dict[str, Change] = {}
    for path in before:
        parts = path.split(".")
        for length in range(1, len(parts)):
            top = ".".join(parts[:length])
            if top in after and path not in after and (not isinstance(after[top], dict) or not after[top]):
                kind = "nulled" if after[top] is None else "type" if after[top] else "emptied"
                found[top] = Change(kind, top, "{...}", after[top], 0.85 if stream.seen >= RELATION_HELD else 0.75)
    return list(found.values())


def _contradictions(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> list[Change]:
    """Find relations that held and do not any more."""
    found: list[Change] = []
    for relation, held in stream.relations.items():
        if holds(relation, after) is False and holds(relation, before) is True:
            path, kind, of, *fields = relation.split("|")
            told = (
                f"{path} <= {of}" if kind == "<=" else f"{path} = {kind}({of} {' * '.join(fields)})".replace(" )", ")")
            )
            sure = 0.8 if held >= RELATION_HELD else (0.7 if kind == "<=" or fields else 0.4)
            found.append(Change("contradiction", path, told, after.get(path), sure))
    return found[:SHOWN]


def restored(broken: Broken | None, before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """List the fields that broke and are of their old kind again."""
    if broken is None:
        return set()
    return {
        path
        for path, kind in broken.before.items()
        if path in after and kind_of(after[path]) == kind and kind_of(before.get(path)) != kind
    }


def disorder(flat: Mapping[str, Any]) -> list[Change]:
    """List the bounds of a state that stand the wrong way round."""
    return [Change("contradiction", low, f"{low} <= {high}", flat[low], 0.65) for low, high in disordered(flat)]


def explained_away(found: list[Change], heard: set[int]) -> list[Change]:
    """Leave out changes that a step between announces: it names the new value, or says that the field is reset."""
    if not heard:
        return found
    reset = any(word_hash(verb) in heard for verb in RESETS)
    return [change for change in found if not _is_explained(change, heard, reset)]


def _is_explained(change: Change, heard: set[int], reset: bool) -> bool:
    named = any(word_hash(word) in heard for word in words_of(change.path.rsplit(".", 1)[-1]))
    if change.kind in ("lost", "nulled", "emptied", "truncated", "cleared", "cut"):
        return named and reset
    words = words_of(str(change.after)) if isinstance(change.after, str | int | float) else []
    return named and bool(words) and all(word_hash(word) in heard for word in words[:4])


def combined(found: Sequence[Change]) -> float:
    """Combine what is wrong: the strongest kind of each path, paths as if independent."""
    strongest: dict[str, float] = {}
    for change in found:
        strongest[change.path] = max(strongest.get(change.path, 0.0), change.confidence)
    missed = 1.0
    for confidence in sorted(strongest.values(), reverse=True)[:SHOWN]:
        missed *= 1.0 - confidence
    return min(0.97, 1.0 - missed)


def words_in(step: Step) -> tuple[int, ...]:
    """Hash the words of what a step does: a tool's name and arguments, or what was said."""
    return _hashed_words((f"{step.tool} {step.args[:NAME_CHARS]}" if step.tool else step.output_text)[:NAME_CHARS])


@lru_cache(maxsize=1_024)
def _hashed_words(text: str) -> tuple[int, ...]:
    """Hash a text's first words; remembered, as what a run does it does again, and a step is often told again."""
    return tuple(map(word_hash, list(dict.fromkeys(cut(text)))[:HINTS_CAP]))


@lru_cache(maxsize=8_192)
def word_hash(word: str) -> int:
    """Hash a word; hints are kept as hashes, which are smaller and say nothing."""
    return int(content_hash(word.encode())[:8], 16)
