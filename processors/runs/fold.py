"""One detector's fold over one run: its state, the episodes it has found, and both taken out and put back as bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from processors.detector import AnyDetector, At
from schemas.detection import CLOSED, OPEN, Finding

EPISODES_PER_RUN = 64
"""Episodes a detector remembers per run; beyond it the oldest closed one is forgotten, as published."""


def episode_key(finding: Finding) -> str:
    """Say which episode of its run a finding is about."""
    return f"{finding.type}|{finding.fingerprint}|{finding.first.span_id}"


class Fold:
    """A detector's state at one point of a run, with the episodes found up to there."""

    __slots__ = ("broken", "detector", "episodes", "packed", "state")

    def __init__(self, detector: AnyDetector, state: Any, episodes: dict[str, Finding], broken: bool = False) -> None:
        self.detector = detector
        self.state = state
        self.episodes = episodes
        self.broken = broken
        self.packed: bytes | None = None
        """The fold as bytes, as long as it has not changed since it was taken out or put back."""

    def observe(self, at: At, item: Any) -> Sequence[Finding]:
        """Show the detector the next item; remembers and returns what it found."""
        self.packed = None
        found = self.detector.observe(self.state, at, item)
        return self.remember(found) if found else ()

    def on_deadline(self, now_ns: int) -> Sequence[Finding]:
        """Wake the detector; remembers and returns what it found."""
        self.packed = None
        return self.remember(self.detector.on_deadline(self.state, now_ns))

    def attribute(self, key: str, agent: str) -> None:
        """Say whose an episode is."""
        self.packed = None
        self.episodes[key] = msgspec.structs.replace(self.episodes[key], agent=agent)

    def fail(self) -> None:
        """Switch the detector off for this run."""
        self.packed = None
        self.broken = True

    def finish(self) -> None:
        """End the run: whatever is still open is closed."""
        self.packed = None
        self.remember(self.detector.finish(self.state))
        for key, finding in self.episodes.items():
            if finding.status == OPEN:
                self.episodes[key] = msgspec.structs.replace(finding, status=CLOSED)

    def remember(self, findings: Sequence[Finding]) -> Sequence[Finding]:
        """Keep what the detector found, by episode; returns it."""
        for finding in findings:
            self.episodes[episode_key(finding)] = finding
            if len(self.episodes) > EPISODES_PER_RUN:
                self._forget_one()
        return findings

    def _forget_one(self) -> None:
        closed = (key for key, finding in self.episodes.items() if finding.status != OPEN)
        del self.episodes[next(closed, next(iter(self.episodes)))]


class FoldCodec:
    """Makes folds of one detector, and takes them out as bytes and puts them back."""

    def __init__(self, detector: AnyDetector) -> None:
        self.detector = detector
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode: Callable[[bytes], tuple[Any, dict[str, Finding], bool]] = msgspec.msgpack.Decoder(
            tuple[detector.State, dict[str, Finding], bool]  # type: ignore[name-defined]  # built at run time
        ).decode
        self.decode_item: Callable[[bytes | msgspec.Raw], Any] = msgspec.msgpack.Decoder(detector.Item).decode

    def begin(self) -> Fold:
        """Make the fold of a run that has shown nothing yet."""
        return Fold(self.detector, self.detector.begin(), {})

    def pack(self, fold: Fold) -> bytes:
        """Take a fold out; costs nothing where it has not changed since the last time."""
        if fold.packed is None:
            fold.packed = self._encode((fold.state, fold.episodes, fold.broken))
        return fold.packed

    def unpack(self, data: bytes) -> Fold:
        """Put a fold back."""
        state, episodes, broken = self._decode(data)
        fold = Fold(self.detector, state, episodes, broken)
        fold.packed = data
        return fold
