"""A detector over one run, with nothing around it: microseconds a step, and what it remembers at the end."""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from processors.detector import AnyDetector, At
from schemas.step import SpanRef, Step

from . import Figure

LENGTHS = (400, 6_400, 100_000)


def folded(subject: AnyDetector, steps: Sequence[Step]) -> list[Figure]:
    """Show every step to a detector, in order."""
    state = subject.begin()
    began = time.perf_counter()
    for step in steps:
        item = subject.project(step)
        if item is not None:
            at = At(step.start_ns, step.end_ns, SpanRef(step.trace_id, step.span_id), step.agent)
            subject.observe(state, at, item)
    micros = (time.perf_counter() - began) / len(steps) * 1e6
    size = len(msgspec.msgpack.encode(state))
    where = f"{subject.name}, run of {len(steps):,}"
    return [(where, micros, "µs/step"), (where, size, "state bytes")]
