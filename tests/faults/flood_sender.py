"""One process that sends spans to a pipeline, over either door: as fast as it goes, or at a pace as SDKs do.

`python flood_sender.py ORDER` with an order as JSON; at the end it prints a tally as JSON. A flood does not wait when
it is told to: no proper client is as bad as that. A client at a pace waits as it is told, and sends the same again.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol

import grpc
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]  # generated, without stubs
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]  # as above
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
DETAILS = "grpc-status-details-bin"
ANSWER_SECONDS = 60.0
TRACE_ID_BYTES = 16
OK = ("200", "OK")


@dataclass
class Order:
    """What a sender is to do. `pace` is the seconds between two requests, 0 for a flood; `key` its API key, if any.

    `unlike`: no two spans of any requests have a text in common; else no two of one request do.
    """

    door: str
    seconds: float
    number: int
    transport: str = "http"
    key: str = ""
    spans: int = 1_000
    span_bytes: int = 1_200
    unlike: bool = False
    pace: float = 0.0


@dataclass
class Tally:
    """What became of it. `offered_spans`: of all requests, each as often as it was sent.

    `waits`: seconds from a first try to its acceptance, of a client at a pace.
    """

    answers: dict[str, int] = field(default_factory=dict)
    offered_spans: int = 0
    accepted_spans: int = 0
    without_delay: int = 0
    waits: list[float] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


class Answer(NamedTuple):
    """An HTTP status or the name of a gRPC code, and after which time to come again; 0 where nothing is said of it."""

    code: str
    delay: float


class Door(Protocol):
    """Where requests go."""

    def send(self, body: bytes) -> Answer:
        """Send a request; raises nothing for a refusal."""


class HttpDoor:
    """A connection that is kept, and opened again where a refusal ended it."""

    def __init__(self, order: Order) -> None:
        self._connection = http.client.HTTPConnection(order.door, timeout=ANSWER_SECONDS)
        self._headers = {"Content-Type": "application/x-protobuf"} | ({"x-api-key": order.key} if order.key else {})

    def send(self, body: bytes) -> Answer:
        """Send a request."""
        try:
            self._connection.request("POST", "/v1/traces", body, self._headers)
            answer = self._connection.getresponse()
            answer.read()
        except OSError:  # refused while the body was still on its way: the answer may be lost with the connection
            self._connection.close()
            return Answer("broken", 1.0)
        return Answer(str(answer.status), float(answer.getheader("Retry-After") or 0))


class GrpcDoor:
    """A channel of its own."""

    def __init__(self, order: Order) -> None:
        self._channel = grpc.insecure_channel(order.door, [("grpc.use_local_subchannel_pool", 1)])
        self._export = self._channel.unary_unary(EXPORT, bytes, bytes)
        self._metadata = (("x-api-key", order.key),) if order.key else ()

    def send(self, body: bytes) -> Answer:
        """Send a request."""
        try:
            self._export(body, timeout=ANSWER_SECONDS, metadata=self._metadata)
        except grpc.RpcError as error:
            return Answer(error.code().name, _delay_of(error))
        return Answer("OK", 0.0)


def _delay_of(error: Any) -> float:
    details = dict(error.trailing_metadata() or ()).get(DETAILS, b"")
    info = RetryInfo()
    found = any(one.Unpack(info) for one in Status.FromString(details).details)
    return float(info.retry_delay.seconds + info.retry_delay.nanos / 1e9) if found else 0.0


def send(order: Order) -> Tally:
    """Carry an order out."""
    door: Door = GrpcDoor(order) if order.transport == "grpc" else HttpDoor(order)
    tally, counted, number = Tally(), Counter[str](), order.number << 32
    make: Callable[[int], bytes] = partial(request, order) if order.unlike else Stamped(order)
    until = due = time.monotonic() + order.seconds
    due -= order.seconds
    while time.monotonic() < until:
        number += 1
        body = make(number)
        begun = time.monotonic()
        while True:
            answer = door.send(body)
            counted[answer.code] += 1
            tally.offered_spans += order.spans
            tally.without_delay += answer.code not in OK and not answer.delay
            if answer.code in OK or not order.pace:
                break
            tally.delays.append(answer.delay)
            time.sleep(answer.delay)
        tally.accepted_spans += order.spans if answer.code in OK else 0
        if order.pace:
            tally.waits.append(time.monotonic() - begun)
            due += order.pace
            time.sleep(max(0.0, due - time.monotonic()))
    tally.answers = dict(counted)
    return tally


class Stamped:
    """Makes requests for next to nothing: one is written, all others are copies with a trace id and a text of theirs.

    So that the sender can offer many times what the pipeline can take, on the same machine.
    """

    def __init__(self, order: Order) -> None:
        number = int.from_bytes(os.urandom(TRACE_ID_BYTES))
        self._written = request(order, number)
        self._trace_id, self._text = number.to_bytes(TRACE_ID_BYTES), text_of(number)

    def __call__(self, number: int) -> bytes:
        """Make a request of one trace, unlike any other; as long as all of them, so that no length changes."""
        stamped = self._written.replace(self._trace_id, number.to_bytes(TRACE_ID_BYTES))
        return stamped.replace(self._text, text_of(number))


def text_of(number: int) -> bytes:
    """Write what is in every text of a trace and in no other one."""
    return f"{number:032x}".encode()


def request(order: Order, number: int) -> bytes:
    """Make a request of one trace, unlike any other, of texts that cannot be compressed."""
    made = ExportTraceServiceRequest()
    scope = made.resource_spans.add().scope_spans.add()
    mark = text_of(number).decode()
    now = time.time_ns()
    for index in range(order.spans):
        text = mark + base64.b64encode(os.urandom(order.span_bytes * 3 // 4)).decode()
        span = scope.spans.add(
            trace_id=number.to_bytes(TRACE_ID_BYTES),
            span_id=(index + 1).to_bytes(8, "big"),
            name="execute_tool search",
            start_time_unix_nano=now + index,
            end_time_unix_nano=now + index + 1,
        )
        for key, value in (("gen_ai.operation.name", "execute_tool"), ("gen_ai.tool.call.result", text)):
            span.attributes.add(key=key).value.string_value = value
    return made.SerializeToString()


if __name__ == "__main__":
    print(json.dumps(asdict(send(Order(**json.loads(sys.argv[1]))))))
