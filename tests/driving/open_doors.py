"""A receiver with both doors open on a real bus, in an event loop of its own, as a pipeline runs it."""

from __future__ import annotations

import asyncio
import http.client
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.admission import Admission
from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Record
from collector.event_loop import new_event_loop
from collector.receivers.api_keys import ApiKey, ApiKeys
from collector.receivers.intake import Intake
from collector.receivers.otlp import OtlpReceiver
from collector.receivers.otlp_config import GrpcConfig, HttpConfig, OtlpReceiverConfig, Protocols

ANY_PORT = "127.0.0.1:0"
BODY_LIMIT = 1_000_000
MOST_CONNECTIONS = 8
Answer = tuple[int, Mapping[str, str], bytes]


class SlowBus(EmbeddedBus):
    """A bus whose acknowledgements can be held back, and that can be made to refuse."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.held: list[tuple[Any, Future[None]]] | None = None
        self.refusal: Exception | None = None

    def publish(self, records: Any) -> Future[None]:
        """Publish, or hold it, or refuse it."""
        if self.refusal is not None:
            refused: Future[None] = Future()
            refused.set_exception(self.refusal)
            return refused
        if self.held is None:
            return super().publish(records)
        waiting: Future[None] = Future()
        self.held.append((records, waiting))
        return waiting


class OpenDoors:
    """The receiver; close it when done."""

    def __init__(
        self,
        folder: Path,
        limit_bytes: int = 1 << 40,
        max_record_bytes: int = 1 << 26,
        body_limit: int = BODY_LIMIT,
        keys: Sequence[ApiKey] = (),
        grpc: Mapping[str, Any] | None = None,
        http: Mapping[str, Any] | None = None,
        admission: Admission | None = None,
        loop: Callable[[], asyncio.AbstractEventLoop] = new_event_loop,
    ) -> None:
        self.bus = SlowBus(folder)
        both = {"endpoint": ANY_PORT, "read_timeout_seconds": 1}
        bounds = {"max_request_body_size": body_limit, "idle_timeout_seconds": 1, "max_connections": MOST_CONNECTIONS}
        protocols = Protocols(
            grpc=GrpcConfig(**{**both, "max_recv_msg_size_mib": 1, **(grpc or {})}),
            http=HttpConfig(**{**both, **bounds, **(http or {})}),
        )
        intake = Intake(self.bus, admission or Admission(limit_bytes), max_record_bytes=max_record_bytes)
        self._receiver = OtlpReceiver(OtlpReceiverConfig(protocols=protocols), intake, ApiKeys(keys))
        self._loop = loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._run(self._receiver.start())
        self.grpc, self.http = self._receiver.doors()["otlp grpc"], self._receiver.doors()["otlp http"]

    def close(self) -> None:
        """Close doors, loop and bus."""
        self._run(self._receiver.stop(1))
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self.bus.close()

    def _run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(20)

    def ask(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request over HTTP."""
        connection = http.client.HTTPConnection(self.http, timeout=10)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def stored(self, topic: str = "otlp_spans") -> list[Record]:
        """Read what is on the bus."""
        consumer = self.bus.consumer("reader", [topic])
        records = list(consumer.poll(10_000, timeout_seconds=0.05).records)
        consumer.close()
        return records


def request(spans: int = 2, name: str = "x") -> bytes:
    """Make a request of proper spans."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    for number in range(1, spans + 1):
        scope.spans.add(trace_id=bytes([number] * 16), span_id=bytes([number] * 8), name=name)
    return made.SerializeToString()
