"""Requests of spans of about 1 kB each, all different, the same at every run."""

from __future__ import annotations

import random
from typing import NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

WORDS = [
    f"{first}{second}" for first in ("plan", "book", "find", "price", "route") for second in ("s", "ing", "er", "ed")
]
MANY = (
    ("gen_ai.operation.name", 1),
    ("gen_ai.tool.name", 1),
    ("gen_ai.tool.call.id", 1),
    ("gen_ai.agent.name", 1),
    ("gen_ai.agent.id", 1),
    ("gen_ai.conversation.id", 2),
    ("gen_ai.request.model", 1),
    ("gen_ai.provider.name", 1),
    ("session.id", 2),
    ("user.id", 1),
    ("gen_ai.tool.call.arguments", 15),
    ("gen_ai.tool.call.result", 60),
)
"""Attributes of a span and how many words each has: 12 in 1 kB; recorded agent spans have 8 in 762 bytes (median)."""
FEW = (("gen_ai.tool.name", 1), ("gen_ai.tool.call.arguments", 30), ("gen_ai.tool.call.result", 90))
"""The same size in three; a decoder that makes an object of each attribute likes it better."""
BEGUN_NS = 1_800_000_000_000_000_000
SPREAD = 0x9E3779B97F4A7C15


class SpanRequests(NamedTuple):
    """Requests of so many spans, of so many traces each."""

    batch: int
    traces: int
    attributes: tuple[tuple[str, int], ...] = MANY

    def body(self, number: int) -> bytes:
        """Make one, serialised."""
        return self.request(number).SerializeToString()

    def request(self, number: int) -> ExportTraceServiceRequest:
        """Make one."""
        chance = random.Random(number)  # noqa: S311  # no secret
        request = ExportTraceServiceRequest()
        scope = request.resource_spans.add().scope_spans.add()
        scope.spans.extend(self._span(number, index, chance) for index in range(self.batch))
        return request

    def _span(self, number: int, index: int, chance: random.Random) -> Span:
        trace = number * self.traces + index % self.traces + 1
        span = Span(
            trace_id=(trace * SPREAD % 2**128).to_bytes(16, "big"),
            span_id=(number * self.batch + index + 1).to_bytes(8, "big"),
            name="execute_tool search",
            start_time_unix_nano=BEGUN_NS + index,
            end_time_unix_nano=BEGUN_NS + 1_000_000 + index,
        )
        for key, words in self.attributes:
            span.attributes.add(key=key).value.string_value = " ".join(chance.choices(WORDS, k=words))
        return span
