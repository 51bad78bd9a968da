"""Ten times what a machine can take, from several senders at once: what was taken, what refused, and the memory.

`python tests/faults/flood.py --seconds 60 --limit-mib 1400` is the long form; it prints a summary.
"""

from __future__ import annotations

import argparse
import http.client
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]

from pipeline_process import PipelineProcess

SENDERS = 6
SPANS_A_REQUEST, TEXT_BYTES = 1_000, 1_200
SAMPLE_SECONDS = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20


class Flood:
    """A running flood against one pipeline; `answers` counts them by status, `peak_bytes` is of all its processes."""

    def __init__(self, pipeline: PipelineProcess, seconds: float) -> None:
        self._pipeline = pipeline
        self._until = time.monotonic() + seconds
        self.answers: Counter[int] = Counter()
        self.accepted_spans = 0
        self.without_delay = 0
        self.peak_bytes = 0
        self.at_peak: dict[str, int] = {}
        self._guard = threading.Lock()

    def run(self) -> None:
        """Send until the time is over, watching the memory."""
        senders = [threading.Thread(target=self._send, args=(number,)) for number in range(SENDERS)]
        for sender in senders:
            sender.start()
        while any(sender.is_alive() for sender in senders):
            self._look()
            time.sleep(SAMPLE_SECONDS)

    def _look(self) -> None:
        info = self._pipeline.info() or {}
        pids = {"doors": info.get("pid", 0), **dict(info.get("processes", {}))}
        held = {name: _resident(pid) for name, pid in pids.items()}
        if sum(held.values()) > self.peak_bytes:
            self.peak_bytes = sum(held.values())
            self.at_peak = {name: size // MIB for name, size in held.items()}

    def _send(self, sender: int) -> None:
        """Send as fast as it goes, and do not wait when told to: no proper client is as bad as that."""
        connection = http.client.HTTPConnection((self._pipeline.info() or {})["http"], timeout=60)
        number = sender << 32
        while time.monotonic() < self._until:
            number += 1
            connection.request("POST", "/v1/traces", body(number), {"Content-Type": "application/x-protobuf"})
            answer = connection.getresponse()
            answer.read()
            self._count(answer.status, answer.getheader("Retry-After"))

    def _count(self, status: int, retry_after: str | None) -> None:
        with self._guard:
            self.answers[status] += 1
            self.accepted_spans += SPANS_A_REQUEST if status == 200 else 0
            self.without_delay += status != 200 and not retry_after


def body(number: int) -> bytes:
    """Make a request of about a megabyte, of one trace, unlike any other."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    text = f"{number} " + os.urandom(TEXT_BYTES // 2).hex()
    now = time.time_ns()
    for index in range(SPANS_A_REQUEST):
        span = scope.spans.add(
            trace_id=number.to_bytes(16, "big"),
            span_id=(index + 1).to_bytes(8, "big"),
            name="execute_tool search",
            start_time_unix_nano=now + index,
            end_time_unix_nano=now + index + 1,
        )
        for key, value in (("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.call.result", f"{index}{text}")):
            span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()


def resident_bytes(pipeline: PipelineProcess) -> int:
    """Sum up what all processes of a pipeline hold."""
    info = pipeline.info() or {}
    return sum(_resident(pid) for pid in {info.get("pid", 0), *dict(info.get("processes", {})).values()})


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def main() -> int:
    """Flood a pipeline and print what came of it."""
    parser = argparse.ArgumentParser(prog="python tests/faults/flood.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--limit-mib", type=int, default=1400)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        pipeline = PipelineProcess(Path(folder) / "data", f"service::memory_limit_mib={options.limit_mib}").start()
        try:
            before = resident_bytes(pipeline)
            flood = Flood(pipeline, options.seconds)
            flood.run()
            begun = time.monotonic()
            pipeline.settle(1_800)
            drained = time.monotonic() - begun
            stored = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
        finally:
            pipeline.kill_if_running()
    print(f"memory before {before // MIB} MiB, peak {flood.peak_bytes // MIB} MiB of {options.limit_mib} MiB")
    print(f"answers {dict(flood.answers)}, refusals without a delay {flood.without_delay}")
    print(f"accepted {flood.accepted_spans} spans, stored {stored[0]}, distinct {stored[1]}")
    print(f"drained in {drained:.0f} s; at the peak each process had {flood.at_peak} MiB")
    whole = [str(flood.accepted_spans)] * 2 == stored
    return int(flood.peak_bytes > options.limit_mib * MIB or not whole or bool(flood.without_delay))


if __name__ == "__main__":
    sys.exit(main())
