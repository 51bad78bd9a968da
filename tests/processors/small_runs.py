"""Steps of a small run, made by hand, and a detector's fold over them without a runtime."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from processors.detector import AnyDetector, At
from processors.runs.fold import FoldCodec
from schemas.detection import Finding
from schemas.step import LLM, TOOL, SpanRef, Step, ToolCall, Usage

SECOND = 1_000_000_000
START_NS = 1_790_000_000 * SECOND
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Scribe:
    """Writes a run step by step, a second each; `wait` lets time pass before the next one."""

    def __init__(self, agent: str = "writer") -> None:
        self.agent = agent
        self.steps: list[Step] = []
        self.now_ns = START_NS

    def wait(self, seconds: float) -> None:
        self.now_ns += int(seconds * SECOND)

    def llm(self, tokens: int = 0, output: int = 100, model: str = "gpt-4o", asks: int = 0, **fields: Any) -> Step:
        calls = [ToolCall(f"call_{n}", "search") for n in range(asks)]
        usage = Usage(tokens, output) if tokens else None
        return self.add(LLM, usage=fields.pop("usage", usage), model=model, calls=calls, **fields)

    def tool(self, name: str = "search", size: int = 40, arguments: str = "a", error: str = "", **fields: Any) -> Step:
        fields = {"tool": name, "args_hash": arguments, "result_size": 0 if error else size, "error": error, **fields}
        return self.add(TOOL, **fields)

    def add(self, kind: str, **fields: Any) -> Step:
        fields = {"agent": self.agent, **fields}
        step = Step(
            tenant="default",
            run_id=TRACE,
            trace_id=TRACE,
            span_id=f"{len(self.steps) + 1:016x}",
            kind=kind,
            start_ns=self.now_ns,
            end_ns=self.now_ns + SECOND,
            **fields,
        )
        self.now_ns += SECOND
        self.steps.append(step)
        return step


def reports(detector: AnyDetector, steps: Iterable[Step]) -> list[Finding]:
    """Everything a detector reports over the steps, in order, with its state put through bytes after each."""
    codec = FoldCodec(detector)
    fold = codec.begin()
    reported: list[Finding] = []
    for step in steps:
        item = detector.project(step)
        if item is not None:
            at = At(step.start_ns, step.end_ns, ref(step), step.agent)
            reported += fold.observe(at, item)
        fold = codec.unpack(codec.pack(fold))
    return reported


def ref(step: Step) -> SpanRef:
    return SpanRef(step.trace_id, step.span_id)
