"""Publishes some spans and lets the sink deliver, to be killed in it: `python one_delivery.py FOLDER FIRST COUNT`."""

from __future__ import annotations

import sys
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from collector.stages import StageThread
from schemas.topics import OTLP_SPANS
from sinks.clickhouse import ClickHouseSink
from sinks.store import Store


def publish(bus: EmbeddedBus, first: int, count: int) -> None:
    """Make spans durable; their numbers are trace id and span id."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for number in range(first, first + count):
        span = scope.spans.add(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"), name="call")
        span.start_time_unix_nano = span.end_time_unix_nano = bus.now_ns()
    bus.publish([Outgoing(OTLP_SPANS, "", request.SerializeToString())]).result(10)


def main(folder: Path, first: int, count: int) -> None:
    """Deliver what there is, also what a process before was killed in."""
    bus = EmbeddedBus(folder / "bus")
    if count:
        publish(bus, first, count)
    sink = ClickHouseSink(lambda: Store(f"chdb:///{folder / 'store'}"), flush_seconds=0.01)
    thread = StageThread("sink", lambda: sink, bus, sys.exit)
    thread.start()
    thread.finish()
    thread.join(60)
    bus.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
