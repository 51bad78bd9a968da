"""Drives a run tracker over steps and detections without a bus: batches in any order, cuts in between."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from memory_state import MemoryState

from collector.bus.protocol import Batch, Outgoing, Record
from processors.run_tracker import RunTracker
from schemas.run_summary import RunSummary, decode_summary
from schemas.step import Step, Usage
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS, DETECTIONS, RUN_SUMMARIES

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND
RUN = "ab" * 16


class NoPrices:
    """A catalogue in which every token costs a millionth of a dollar."""

    def cost_usd(self, model: str, provider: str, usage: Usage, at_ns: int) -> float | None:
        return (usage.input + usage.output) / 1e6

    def context_window(self, model: str, provider: str) -> int | None:
        return None


class Tracking:
    """A run tracker with its state, a clock of its own, the summaries it told and what it found."""

    def __init__(self, **settings: Any) -> None:
        self.now_ns = START_NS
        self.state = MemoryState()
        self.told: list[RunSummary] = []
        self.found: list[dict[str, Any]] = []
        self.other: list[Outgoing] = []
        self._settings = settings
        self._offset = 0
        self.restart()

    def restart(self) -> None:
        """Throw everything in memory away, as a crash does."""
        self.tracker = RunTracker(NoPrices(), 1_000_000, **self._settings)
        self.tracker.restore(self.state)

    def send(self, *sent: Step | dict[str, Any], after_seconds: float = 0.01) -> None:
        """Hand steps and detections over as one batch."""
        self.now_ns += int(after_seconds * SECOND)
        steps = [one for one in sent if isinstance(one, Step)]
        records = [self._record(AGENT_STEPS, encode_steps(steps))] if steps else []
        records += [self._record(DETECTIONS, orjson.dumps(one)) for one in sent if not isinstance(one, Step)]
        self.handle(records)

    def send_bytes(self, topic: str, value: bytes) -> None:
        """Hand one record over, whatever is in it."""
        self.handle([self._record(topic, value)])

    def wait(self, seconds: float) -> None:
        """Let bus time pass."""
        self.now_ns += int(seconds * SECOND)
        self.handle([])

    def handle(self, records: Sequence[Record]) -> None:
        """Have a batch handled, and commit it."""
        handled = self.tracker.handle(Batch(records, self.now_ns), self.state)
        self.state.apply(handled.changes)
        for out in handled.outputs:
            if out.topic == RUN_SUMMARIES:
                self.told.append(decode_summary(out.value))
            elif out.topic == DETECTIONS:
                self.found.append(orjson.loads(out.value))
            else:
                self.other.append(out)

    def _record(self, topic: str, value: bytes) -> Record:
        self._offset += 1
        return Record(topic, 0, self._offset, f"default/{RUN}", value, {}, self.now_ns)


def a_step(number: int, kind: str, **what: Any) -> Step:
    """Make the step that begins so many seconds into the run and takes half a second."""
    start = START_NS + number * SECOND
    fields: dict[str, Any] = {"end_ns": start + SECOND // 2, "agent": "researcher", **what}
    for text, size in (("output_text", "output_size"), ("result", "result_size"), ("input_text", "input_size")):
        fields.setdefault(size, len(fields.get(text, "")))
    named = {"tenant": "default", "run_id": RUN, "trace_id": RUN, "span_id": f"{number:016x}", **fields}
    return Step(kind=kind, start_ns=start, **named)


def a_root(seconds: int, **what: Any) -> Step:
    """Make the root of a run that takes so long."""
    fields = {"is_root": True, "agent": "lead", "name": "run", "service": "trips", **what}
    return a_step(0, "agent", end_ns=START_NS + seconds * SECOND, **fields)


def a_detection(kind: str, *places: int, version: int = 1, **what: Any) -> dict[str, Any]:
    """Make a detection about the steps that begin so many seconds into the run."""
    spans = [{"trace_id": RUN, "span_id": f"{place:016x}"} for place in places]
    return {
        "schema": "tracemend.detection/1",
        "id": f"{kind}-{places[0]}",
        "tenant": "default",
        "run_id": RUN,
        "version": version,
        "type": kind,
        "status": "open",
        "severity": "high",
        "confidence": 0.9,
        "agent": None,
        "title": f"{kind} at {places[0]}",
        "event_time": "2027-01-15T08:00:00Z",
        "spans": spans,
        **what,
    }
