"""Router and consumer joined by their topics, without a bus: detections in, everything healing says out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson
from memory_state import MemoryState

from collector.bus.protocol import Batch, Outgoing, Record, Stage, State
from healing.consumer import HealingConsumer
from healing.gate import GateSettings
from healing.router import HealingRouter
from schemas.keys import join_key
from schemas.timestamps import rfc3339
from schemas.topics import APPROVALS, DETECTIONS, HEALING, HEALING_OUTCOMES, POLICIES

SECOND = 1_000_000_000
START_NS = 1_795_000_000 * SECOND


class World:
    """Hands records over until nothing new comes; `said` holds all of them, `now_ns` is bus time."""

    def __init__(self, settings: GateSettings | None = None, **bounds: int) -> None:
        self.now_ns = START_NS
        self.said: list[Outgoing] = []
        consumer = HealingConsumer(settings or GateSettings(), **bounds)
        self._stages: list[tuple[Stage, MemoryState]] = [(HealingRouter(), MemoryState()), (consumer, MemoryState())]
        self._offset = 0

    @property
    def consumer_state(self) -> State:
        return self._stages[1][1]

    def detect(self, *documents: dict[str, Any], tenant: str = "default") -> None:
        """Publish detections in one batch."""
        key = join_key(tenant, "run")
        headers = {"tenant": tenant.encode()}
        self.hand_over([Outgoing(DETECTIONS, key, orjson.dumps(document), headers) for document in documents])

    def hand_over(self, records: Sequence[Outgoing]) -> None:
        """Append records and let the stages work until they are done."""
        waiting = list(records)
        for _ in range(20):
            if not waiting:
                return
            waiting = [said for stage, state in self._stages for said in self._work(stage, state, waiting)]
            self.said += waiting
        raise AssertionError("healing talks to itself for ever")

    def wait(self, seconds: float) -> None:
        """Let bus time pass, then give each stage an empty batch."""
        self.now_ns += int(seconds * SECOND)
        said = [out for stage, state in self._stages for out in self._handle(stage, state, ())]
        self.said += said
        self.hand_over(said)

    def documents(self, topic: str, **fields: Any) -> list[dict[str, Any]]:
        """Read what was said on a topic, oldest first."""
        found = [orjson.loads(out.value) for out in self.said if out.topic == topic]
        return [one for one in found if all(one[name] == value for name, value in fields.items())]

    def outcomes(self, event: str) -> list[dict[str, Any]]:
        return self.documents(HEALING_OUTCOMES, event=event)

    def approvals(self, event: str) -> list[dict[str, Any]]:
        return self.documents(APPROVALS, event=event)

    def policy(self, agent: str) -> dict[str, Any]:
        """Read the newest policy of an agent."""
        return self.documents(POLICIES, agent=agent)[-1]

    def _work(self, stage: Stage, state: MemoryState, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        mine = [out for out in records if out.topic in stage.topics]
        return self._handle(stage, state, mine) if mine else ()

    def _handle(self, stage: Stage, state: MemoryState, records: Sequence[Outgoing]) -> Sequence[Outgoing]:
        self.now_ns += SECOND // 1_000
        taken = []
        for out in records:
            self._offset += 1
            taken.append(Record(out.topic, 0, self._offset, out.key, out.value, out.headers, self.now_ns))
        handled = stage.handle(Batch(taken, self.now_ns), state)
        state.apply(handled.changes)
        return handled.outputs


def detection(now_ns: int = START_NS, **fields: Any) -> dict[str, Any]:
    """Make a detection that heals by itself, as the contract writes it."""
    return {
        "schema": "tracemend.detection/1",
        "id": "d1",
        "type": "loop",
        "processor": "loop",
        "processor_version": "1",
        "tier": 1,
        "confidence": 0.93,
        "confidence_tier": "HIGH",
        "severity": "high",
        "score": 74,
        "tenant": "default",
        "service": "trip-planner",
        "agent": "researcher",
        "framework": "langgraph",
        "status": "open",
        "version": 1,
        "trace_id": "0" * 32,
        "run_id": "0" * 32,
        "conversation_id": None,
        "replaces": None,
        "span_ids": ["0" * 16],
        "spans": [{"trace_id": "0" * 32, "span_id": "0" * 16}],
        "title": "researcher called search_flights 5 times with the same arguments",
        "explanation": "The same call again and again.",
        "evidence": {"repetitions": 5},
        "suggested_fix": {
            "fix_type": "circuit_breaker",
            "risk": "SAFE",
            "parameters": {"tool": "search_flights", "max_repeats": 3},
            "description": "Refuse search_flights after 3 equal calls in a row.",
        },
        "event_time": rfc3339(now_ns),
        "detected_at": rfc3339(now_ns),
        "cost_usd": 0.0,
        **fields,
    }


def fix(fix_type: str, **parameters: Any) -> dict[str, Any]:
    """Make a suggested fix; the risk it claims is a lie."""
    return {"fix_type": fix_type, "risk": "SAFE", "parameters": parameters, "description": ""}


__all__ = ["APPROVALS", "HEALING", "START_NS", "MemoryState", "World", "detection", "fix"]
