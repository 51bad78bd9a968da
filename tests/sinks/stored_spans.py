"""Spans to send, and a store to find them in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.protocol import Headers, Outgoing, Record, StateChange
from schemas.topics import OTLP_SPANS, TENANT_HEADER
from sinks.store import Store

NOW = time.time_ns()
"""When the tests began, Unix ns: the tables forget what is too old."""
DAY = 86_400_000_000_000


def request_of(*spans: tuple[int, int], service: str = "shop") -> ExportTraceServiceRequest:
    """Build a request of (number, start) spans; the number is trace id and span id."""
    request = ExportTraceServiceRequest()
    held = request.resource_spans.add()
    attribute = held.resource.attributes.add(key="service.name")
    attribute.value.string_value = service
    scope = held.scope_spans.add()
    scope.scope.name = "tests"
    for number, start in spans:
        span = scope.spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name="call")
        span.start_time_unix_nano, span.end_time_unix_nano = start, start + 1_000
    return request


def outgoing_spans(*spans: tuple[int, int], tenant: str = "default") -> Outgoing:
    return Outgoing(OTLP_SPANS, "", request_of(*spans).SerializeToString(), {TENANT_HEADER: tenant.encode()})


def record_of(topic: str, value: bytes, offset: int = 0, headers: Headers | None = None, at: int = NOW) -> Record:
    return Record(topic, 0, offset, "", value, headers or {}, at)


class EmptyState:
    """The state of a group that has committed nothing."""

    def get(self, store: str, key: str) -> bytes | None:
        return None

    def scan(self, store: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        return iter(())

    def due(self, store: str, until_ns: int, limit: int) -> list[str]:
        return []

    def count(self, store: str) -> int:
        return 0


class CommittedState(EmptyState):
    """The state after some changes."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], bytes] = {}

    def apply(self, changes: Any) -> None:
        for change in changes:
            assert isinstance(change, StateChange)
            if change.value is None:
                self._held.pop((change.store, change.key), None)
            else:
                self._held[change.store, change.key] = change.value

    def scan(self, store: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        return iter([(key, value) for (held, key), value in self._held.items() if held == store])


def numbers_of(store: Store) -> list[int]:
    """List the stored spans, each as often as it is stored."""
    return [int(row["SpanId"], 16) for row in store.query("SELECT SpanId FROM otel_traces ORDER BY SpanId")]
