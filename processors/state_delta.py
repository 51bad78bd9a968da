"""Finds states that break from one observation to the next (type `corruption`).

Consecutive states of the same shape are compared, whoever carries them, since a shared state is handed from agent
to agent. What a path has shown so far says what is usual for it: volatile ones are ignored, relations between fields
are learned, and a record that is replaced as a whole is the next record, not a broken one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import orjson

from processors.detector import At, Detector, DetectorConfig
from processors.state_history import PathHistory, learn
from processors.state_paths import flatten, is_identity, kind_of, words_of
from processors.state_relations import disordered, holds, relations
from processors.state_rules import Change, changes_of, identity_text_changed, implausible, lost
from schemas.canonical import content_hash
from schemas.detection import CLOSED, OPEN, Finding, Fix
from schemas.keys import join_key
from schemas.step import SpanRef, Step

STREAMS_CAP = 6
HINTS_CAP = 24
SAME_SHAPE = 0.5
REPLACED_SHARE = 0.6
"""Share of fields that change together when one record gives way to the next."""
RELATION_HELD = 3
SHOWN = 8
VALUE_CHARS = 80
RESETS = frozenset({"clear", "reset", "delete", "remove", "flush", "drop", "purge", "archive", "trim", "compact"})
"""Verbs that explain why something is gone, where they name it."""
SEVERITY = (("critical", 0.95, 85), ("high", 0.8, 72), ("medium", 0.6, 55), ("low", 0.0, 35))


class StateConfig(DetectorConfig):
    """Settings of the detector."""

    min_confidence: float = 0.5
    """Combined confidence below which nothing is reported."""


class StateItem(msgspec.Struct, frozen=True, array_like=True):
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


class StateDelta(Detector[StateConfig, StateItem, States]):
    """States that break from one step to the next: types, lost keys, regressions, contradictions."""

    name = "state_delta"
    Config = StateConfig
    Item = StateItem
    State = States

    def project(self, step: Step) -> StateItem | None:
        """Keep a state that is whole, and of other steps the words that may explain the next change."""
        words = _words_in(step)
        if step.state and len(step.state) >= step.state_size:
            return StateItem(step.state, step.state_hash, words)
        return StateItem(words=words) if words else None

    def begin(self) -> States:
        """Start with nothing seen."""
        return States()

    def observe(self, state: States, at: At, item: StateItem) -> Sequence[Finding]:
        """Compare a state with the last one of its shape."""
        state.words = [*state.words, *item.words][-4 * HINTS_CAP :]
        if not item.state:
            return ()
        read = orjson.loads(item.state)
        if not isinstance(read, dict) or not read:
            return ()
        flat = flatten(read)
        stream = _stream_of(state.streams, flat)
        heard, state.words = set(state.words), []
        state.at += 1
        if stream is None:
            stream = _begun(item, at, flat)
            state.streams = [*state.streams, stream][-STREAMS_CAP:]
            return self._report(stream, item, at, [*implausible(flat), *_disorder(flat)], {})
        state.streams = [*(one for one in state.streams if one is not stream), stream]
        return self._compare(stream, item, at, flat, heard)

    def _compare(
        self, stream: Stream, item: StateItem, at: At, flat: Mapping[str, Any], heard: set[int]
    ) -> Sequence[Finding]:
        before = flatten(orjson.loads(stream.state))
        replaced = _is_replaced(before, flat, stream)
        back = _restored(stream.broken, before, flat)
        wrong = [] if replaced else [change for change in _wrong(before, flat, stream) if change.path not in back]
        found = _explained_away(wrong, heard)
        mended = self._mended(stream, at, flat)
        findings = [*mended, *self._report(stream, item, at, found, before)]
        doubted = {change.path for change in found} if len(findings) > len(mended) else set()
        _take_in(stream, item, at, flat, doubted, replaced)
        return findings

    def _report(
        self, stream: Stream, item: StateItem, at: At, found: Sequence[Change], before: Mapping[str, Any]
    ) -> Sequence[Finding]:
        """Report what is wrong where that is sure enough together, and remember the episode."""
        sure = _combined(found)
        if sure < self.config.min_confidence:
            return ()
        finding = _finding(stream, item, at, found, sure)
        kinds = {change.path: kind_of(before[change.path]) for change in found if change.path in before}
        stream.broken = Broken(finding, list(kinds), kinds)
        return [finding]

    @staticmethod
    def _mended(stream: Stream, at: At, flat: Mapping[str, Any]) -> Sequence[Finding]:
        """Close the episode once every field that broke is of its old kind again and relations hold."""
        broken = stream.broken
        if broken is None or not broken.before:
            return ()
        if any(path not in flat or kind_of(flat[path]) != kind for path, kind in broken.before.items()):
            return ()
        if any(holds(relation, flat) is False for relation, held in stream.relations.items() if held >= RELATION_HELD):
            return ()
        if flat == flatten(orjson.loads(stream.state)) or broken.finding.spans[-1] == at.span:
            return ()
        stream.broken = None
        return [msgspec.structs.replace(broken.finding, status=CLOSED)]


# --- streams ---


def _stream_of(streams: Sequence[Stream], flat: Mapping[str, Any]) -> Stream | None:
    """Find the stream whose paths a state shares most; the most recent one where several do."""
    best, share = None, SAME_SHAPE
    for stream in streams:
        common = sum(path in stream.paths for path in flat)
        own = common / max(1, min(len(stream.paths), len(flat)))
        if own >= share:
            best, share = stream, own
    return best


def _begun(item: StateItem, at: At, flat: Mapping[str, Any]) -> Stream:
    paths = {path: PathHistory() for path in flat}
    for path, value in flat.items():
        learn(paths[path], value)
    return Stream(item.state, item.state_hash, at.span, paths, dict.fromkeys(relations(flat), 1))


def _take_in(
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


def _is_replaced(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> bool:
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


# --- what is wrong ---


def _wrong(before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream) -> list[Change]:
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


def _restored(broken: Broken | None, before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """List the fields that broke and are of their old kind again."""
    if broken is None:
        return set()
    return {
        path
        for path, kind in broken.before.items()
        if path in after and kind_of(after[path]) == kind and kind_of(before.get(path)) != kind
    }


def _disorder(flat: Mapping[str, Any]) -> list[Change]:
    return [Change("contradiction", low, f"{low} <= {high}", flat[low], 0.65) for low, high in disordered(flat)]


def _explained_away(found: list[Change], heard: set[int]) -> list[Change]:
    """Leave out changes that a step between announces: it names the new value, or says that the field is reset."""
    if not heard:
        return found
    reset = any(_word_hash(verb) in heard for verb in RESETS)
    return [change for change in found if not _is_explained(change, heard, reset)]


def _is_explained(change: Change, heard: set[int], reset: bool) -> bool:
    named = any(_word_hash(word) in heard for word in words_of(change.path.rsplit(".", 1)[-1]))
    if change.kind in ("lost", "nulled", "emptied", "truncated", "cleared", "cut"):
        return named and reset
    words = words_of(str(change.after)) if isinstance(change.after, str | int | float) else []
    return named and bool(words) and all(_word_hash(word) in heard for word in words[:4])


def _combined(found: Sequence[Change]) -> float:
    """Combine what is wrong: the strongest kind of each path, paths as if independent."""
    strongest: dict[str, float] = {}
    for change in found:
        strongest[change.path] = max(strongest.get(change.path, 0.0), change.confidence)
    missed = 1.0
    for confidence in sorted(strongest.values(), reverse=True)[:SHOWN]:
        missed *= 1.0 - confidence
    return min(0.97, 1.0 - missed)


# --- words ---


def _words_in(step: Step) -> tuple[int, ...]:
    """Hash the words of what a step does: a tool's name and arguments, or what was said."""
    text = f"{step.tool} {step.args[:400]}" if step.tool else step.output_text[:400]
    return tuple(dict.fromkeys(_word_hash(word) for word in words_of(text)))[:HINTS_CAP] if text.strip() else ()


def _word_hash(word: str) -> int:
    return int(content_hash(word.encode())[:8], 16)


# --- findings ---


def _finding(stream: Stream, item: StateItem, at: At, found: Sequence[Change], sure: float) -> Finding:
    ranked = sorted(found, key=lambda change: (-change.confidence, change.path, change.kind))
    worst = ranked[0]
    severity, _, score = next(row for row in SEVERITY if sure >= row[1])
    more = f" and {len(ranked) - 1} more" if len(ranked) > 1 else ""
    return Finding(
        type="corruption",
        fingerprint=content_hash(join_key(worst.kind, worst.path).encode()),
        first=stream.span,
        spans=(stream.span, at.span) if stream.span != at.span else (at.span,),
        status=OPEN,
        tier=2,
        confidence=round(sure, 3),
        severity=severity,
        score=score,
        title=f"{{agent}} left a broken state: {worst.path} {worst.kind.replace('_', ' ')}{more}",
        explanation=_explanation(ranked, stream),
        evidence={
            "changes": [_shown(change) for change in ranked[:SHOWN]],
            "state_before": stream.state_hash,
            "state_after": item.state_hash,
            "observations": stream.seen,
        },
        event_time_ns=at.start_ns,
        fix=_fix(ranked),
        agent=at.agent,
    )


def _explanation(ranked: Sequence[Change], stream: Stream) -> str:
    told = "; ".join(
        f"{change.path}: {change.kind.replace('_', ' ')} ({_short(change.before)} -> {_short(change.after)})"
        for change in ranked[:3]
    )
    return f"After {stream.seen} sound observations {{agent}} passed on a state in which {told}; nothing explains it."


def _shown(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "kind": change.kind,
        "before": _short(change.before),
        "after": _short(change.after),
        "confidence": change.confidence,
    }


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "..."


JSON_TYPES = {"text": "string", "number": "number", "bool": "boolean", "list": "array", "map": "object"}


def _fix(ranked: Sequence[Change]) -> Fix:
    """Suggest to check the state against what it was before it is passed on."""
    keys = list(dict.fromkeys(change.path for change in ranked if change.kind in ("lost", "nulled")))[:SHOWN]
    types = {
        change.path: JSON_TYPES[kind_of(change.before)]
        for change in ranked
        if change.kind == "type" and kind_of(change.before) in JSON_TYPES
    }
    parameters: dict[str, Any] = {}
    if keys:
        parameters["keys"] = keys
    if types:
        parameters["types"] = dict(list(types.items())[:SHOWN])
    return Fix(
        "state_validation", "Check the state before it is passed on, and go back to the last sound one.", parameters
    )
