"""States of one shape, whoever carries them: what was last seen of each, and what was learned of its fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from processors.detector import At
from processors.states.history import PathHistory, learn
from processors.states.paths import is_identity, kind_of
from processors.states.relations import holds, relations
from schemas.detection import Finding
from schemas.step import SpanRef

SAME_SHAPE = 0.5
REPLACED_SHARE = 0.6
"""Share of fields that change together when one record gives way to the next."""
RELATION_HELD = 3


class StateItem(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A state (canonical JSON and hash), or the words of a step between two states."""

    state: str = ""
    state_hash: str = ""
    words: tuple[int, ...] = ()


class Broken(msgspec.Struct, array_like=True):
    """The episode a stream is in: what was found, to be told again when it is mended."""

    finding: Finding
    paths: list[str]
    before: dict[str, str]


class Stream(msgspec.Struct, array_like=True):
    """States of one shape: the last one, what was learned of its paths, which relations held how often."""

    state: str
    state_hash: str
    span: SpanRef
    paths: dict[str, PathHistory]
    relations: dict[str, int]
    seen: int = 1
    broken: Broken | None = None


class States(msgspec.Struct, array_like=True):
    """The fold's memory: streams, the most recently seen last, and words heard since the last state."""

    streams: list[Stream] = []
    words: list[int] = []
    at: int = 0


def stream_of(streams: Sequence[Stream], flat: Mapping[str, Any]) -> Stream | None:
    """Find the stream whose paths a state shares most; the most recent one where several do."""
    best, share = None, SAME_SHAPE
    for stream in streams:
        common = sum(path in stream.paths for path in flat)
        own = common / max(1, min(len(stream.paths), len(flat)))
        if own >= share:
            best, share = stream, own
    return best


def begun(item: StateItem, at: At, flat: Mapping[str, Any]) -> Stream:
    """Begin a stream with its first state."""
    paths = {path: PathHistory() for path in flat}
    for path, value in flat.items():
        learn(paths[path], value)
    return Stream(item.state, item.state_hash, at.span, paths, dict.fromkeys(relations(flat), 1))


def take_in(
    stream: Stream, item: StateItem, at: At, flat: Mapping[str, Any], doubted: set[str], replaced: bool
) -> None:
    """Learn from a state, but not from the fields of it that are doubted; a new record starts some counts anew."""
    for path, value in flat.items():
        if path in doubted:
            continue
        history = stream.paths.setdefault(path, PathHistory())
        if replaced:
            history.values, history.rises, history.shrank, history.changed = [], 0, 0, 0
        learn(history, value)
    if not doubted:
        _learn_relations(stream, flat)
        stream.paths = {path: history for path, history in stream.paths.items() if path in flat}
    stream.state, stream.state_hash, stream.span = item.state, item.state_hash, at.span
    stream.seen += 1


def _learn_relations(stream: Stream, flat: Mapping[str, Any]) -> None:
    """Keep the relations that still hold or cannot be told, count how often they held, and add none later on."""
    held: dict[str, int] = {}
    for relation, times in stream.relations.items():
        now = holds(relation, flat)
        if now is not False:
            held[relation] = times + (now is True)
    if stream.seen < RELATION_HELD:
        for relation in relations(flat):
            held.setdefault(relation, 1)
    stream.relations = held


def is_replaced(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> bool:
    """Say whether this is the next record: what it is has changed, and most of the rest with it."""
    telling = [path for path in before if path in after and not _volatile(stream, path)]
    moved = [path for path in telling if before[path] != after[path]]
    same_types = all(kind_of(before[path]) == kind_of(after[path]) for path in moved)
    if len(telling) < 2 or set(before) - set(after) or not same_types:
        return False
    renamed = any(is_identity(path) for path in moved)
    return renamed and len(moved) >= REPLACED_SHARE * len(telling)


def _volatile(stream: Stream, path: str) -> bool:
    history = stream.paths.get(path)
    return history is not None and history.is_volatile()
