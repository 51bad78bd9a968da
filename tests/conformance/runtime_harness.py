"""Drives a runtime over steps without a bus: batches in any order, cuts in between, and reads what came out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from memory_state import MemoryState

from collector.bus.protocol import Batch, Record
from processors.detector import AnyDetector
from processors.runtime import Runtime
from schemas.step import Step
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND


class Drive:
    """A runtime with its state, a clock of its own, and everything it published."""

    def __init__(self, detectors: Sequence[AnyDetector], **settings: Any) -> None:
        self.now_ns = START_NS
        self.state = MemoryState()
        self.outputs: list[dict[str, Any]] = []
        self.other: list[Any] = []
        self._detectors, self._settings = detectors, settings
        self._offset = 0
        self.restart()

    def restart(self) -> None:
        """Throw everything in memory away, as a crash does."""
        self.runtime = Runtime("detectors", self._detectors, lambda: self.now_ns, **self._settings)
        self.runtime.restore(self.state)

    def send(self, *steps: Step, after_seconds: float = 0.01) -> None:
        """Hand a batch of steps over, as one record."""
        self.now_ns += int(after_seconds * SECOND)
        value = encode_steps(steps)
        record = Record(AGENT_STEPS, 0, self._offset, "default/run", value, {}, self.now_ns)
        self._offset += 1
        self._handle(Batch([record], self.now_ns))

    def wait(self, seconds: float) -> None:
        """Let bus time pass."""
        self.now_ns += int(seconds * SECOND)
        self._handle(Batch((), self.now_ns))

    def _handle(self, batch: Batch) -> None:
        handled = self.runtime.handle(batch, self.state)
        self.state.apply(handled.changes)
        self.outputs += [orjson.loads(out.value) for out in handled.outputs if out.topic == DETECTIONS]
        self.other += [out for out in handled.outputs if out.topic != DETECTIONS]

    def final(self) -> dict[str, dict[str, Any]]:
        """Give the last version of each detection that was not withdrawn, without what depends on when it was told."""
        latest: dict[str, dict[str, Any]] = {}
        for document in self.outputs:
            if document["id"] not in latest or document["version"] > latest[document["id"]]["version"]:
                latest[document["id"]] = document
        kept = {key: document for key, document in latest.items() if document["status"] != "withdrawn"}
        return {key: _timeless(document) for key, document in kept.items()}


def _timeless(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in ("version", "detected_at", "replaces")}
