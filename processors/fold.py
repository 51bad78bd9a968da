"""One detector's fold over one run: its state, the episodes it has found, and both taken out and put back as bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from processors.detector import AnyDetector
from schemas.detection import CLOSED, OPEN, Finding

EPISODES_PER_RUN = 64
"""Episodes a detector remembers per run; beyond it the oldest closed one is forgotten, as published."""


def episode_key(finding: Finding) -> str:
    """Say which episode of its run a finding is about."""
    return f"{finding.type}|{finding.fingerprint}|{finding.first.span_id}"


class Fold:
    """A detector's state at one point of a run, with the episodes found up to there."""

    __slots__ = ("broken", "detector", "episodes", "state")

    def __init__(self, detector: AnyDetector, state: Any, episodes: dict[str, Finding], broken: bool = False) -> None:
        self.detector = detector
        self.state = state
        self.episodes = episodes
        self.broken = broken

    def on_deadline(self, now_ns: int) -> Iterable[Finding]:
        """Wake the detector; remembers and returns what it found."""
        return self.remember(self.detector.on_deadline(self.state, now_ns))

    def finish(self) -> None:
        """End the run: whatever is still open is closed."""
        self.remember(self.detector.finish(self.state))
        for key, finding in self.episodes.items():
            if finding.status == OPEN:
                self.episodes[key] = msgspec.structs.replace(finding, status=CLOSED)

    def remember(self, findings: Iterable[Finding]) -> Iterable[Finding]:
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
        """Take a fold out."""
        return self._encode((fold.state, fold.episodes, fold.broken))

    def unpack(self, data: bytes) -> Fold:
        """Put a fold back."""
        state, episodes, broken = self._decode(data)
        return Fold(self.detector, state, episodes, broken)
