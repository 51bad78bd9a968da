"""The loop detector: microseconds a step at three run lengths, state bytes of a live run, bytes of an item."""

from __future__ import annotations

import time

import msgspec

from processors.detector import At
from processors.loop import LoopConfig, LoopDetector
from processors.spending.model_catalogue import PricedModels
from schemas.canonical import canonical, content_hash
from schemas.step import LLM, TOOL, SpanRef, Step, ToolCall, Usage

Figure = tuple[str, float, str]
LENGTHS = (400, 6_400, 100_000)
TRACE = "0af7651916cd43dd8448eb211c80319c"
SECOND = 1_000_000_000
LOOP_EVERY = 500
"""Steps between the beginnings of two loops of ten calls."""


def run() -> list[Figure]:
    """Measure the detector at every length."""
    detector = LoopDetector(LoopConfig(), PricedModels())
    steps = [_step(number) for number in range(max(LENGTHS))]
    return [figure for length in LENGTHS for figure in _fold(detector, steps[:length])]


def _fold(detector: LoopDetector, steps: list[Step]) -> list[Figure]:
    places = [At(step.start_ns, step.end_ns, SpanRef(TRACE, step.span_id), step.agent) for step in steps]
    state = detector.begin()
    began = time.process_time()
    items = [detector.project(step) for step in steps]
    projected = time.process_time()
    for at, item in zip(places, items, strict=True):
        if item is not None:
            detector.observe(state, at, item)
    observed = time.process_time()
    count = len(steps)
    sizes = [len(msgspec.msgpack.encode(item)) for item in items]
    return [
        (f"loop, {count} steps: project", (projected - began) / count * 1e6, "µs/step"),
        (f"loop, {count} steps: observe", (observed - projected) / count * 1e6, "µs/step"),
        (f"loop, {count} steps: state", float(len(msgspec.msgpack.encode(state))), "bytes"),
        (f"loop, {count} steps: item", sum(sizes) / count, "bytes"),
    ]


def _step(number: int) -> Step:
    """Alternate model calls and the tool calls they ask for: ordinary work, with a loop now and then."""
    what = number // 2 if number % LOOP_EVERY > 20 else number // LOOP_EVERY
    args = canonical({"path": f"src/module_{what}.py", "lines": f"{what}-{what + 40}"}).decode()
    start = 1_790_000_000 * SECOND + number * SECOND
    step = Step("t", TRACE, TRACE, f"{number:016x}", LLM, start, start + SECOND // 2, agent="worker")
    args_hash = content_hash(args.encode())
    if number % 2 == 0:
        calls = (ToolCall(f"c{number}", "read_file", args, args_hash),)
        return msgspec.structs.replace(
            step, calls=calls, output_text=f"Now module {what}.", usage=Usage(1_000 + what, 40)
        )
    result = f"def handler_{what}(value): return value + {what}\n" * 6
    return msgspec.structs.replace(
        step,
        kind=TOOL,
        tool="read_file",
        args=args,
        args_hash=args_hash,
        result=result,
        result_hash=content_hash(result.encode()),
        result_size=len(result),
    )
