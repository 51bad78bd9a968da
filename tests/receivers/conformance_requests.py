"""What a row of the conformance table asks, and what is seen of the answer: plain values, the same at every run."""

from __future__ import annotations

import http.client
import io
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.json_format import Parse
from google.rpc import status_pb2  # type: ignore[import-untyped]  # generated, without stubs
from open_doors import OpenDoors
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from raw_exchange import exchange

PROTOBUF, JSON = "application/x-protobuf", "application/json"
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
ENCODINGS = {PROTOBUF: "protobuf", JSON: "json"}
TOLD_HEADERS = ("Allow", "Accept-Encoding", "WWW-Authenticate")
RAW_SECONDS = 4.0

Seen = dict[str, Any]


@dataclass(frozen=True)
class HttpRequest:
    """A request by HTTP; with `raw` it is said as it is."""

    body: bytes | Callable[[], bytes] = b""
    kind: str | None = PROTOBUF
    method: str = "POST"
    path: str = "/v1/traces"
    encoding: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""

    def seen(self, doors: OpenDoors) -> Seen:
        """Ask, and say what is seen."""
        before = _spans(doors)
        status, headers, body = self._answered(doors)
        seen: Seen = {"status": status}
        if status:
            seen |= _of_body(status, headers.get("Content-Type", ""), body)
            seen |= {name: headers[name] for name in TOLD_HEADERS if name in headers}
            if "Retry-After" in headers:
                seen["Retry-After"] = int(headers["Retry-After"]) >= 1
        return {**seen, "stored": _spans(doors) - before}

    def _answered(self, doors: OpenDoors) -> tuple[int, Mapping[str, str], bytes]:
        if self.raw:
            return _parsed(exchange(doors.http, self.raw, RAW_SECONDS))
        kind = {"Content-Type": self.kind} if self.kind is not None else {}
        encoding = {"Content-Encoding": self.encoding} if self.encoding else {}
        body = self.body if isinstance(self.body, bytes) else self.body()
        return doors.ask(self.method, self.path, body, {**kind, **encoding, **self.headers})


@dataclass(frozen=True)
class GrpcRequest:
    """A call by gRPC; `messages` are what is sent of it, after `pause_seconds`."""

    messages: tuple[bytes, ...] = (b"",)
    method: str = EXPORT
    compression: grpc.Compression = grpc.Compression.NoCompression
    metadata: tuple[tuple[str, str | bytes], ...] = ()
    pause_seconds: float = 0.0

    def seen(self, doors: OpenDoors) -> Seen:
        """Call, and say what is seen."""
        before = _spans(doors)
        with grpc.insecure_channel(doors.grpc, options=[("grpc.max_send_message_length", -1)]) as channel:
            call = channel.stream_unary(self.method, request_serializer=bytes, response_deserializer=bytes)
            try:
                answer = call(self._sent(), timeout=15, metadata=self.metadata, compression=self.compression)
            except grpc.RpcError as refused:
                seen = _of_refusal(refused)
            else:
                seen = {"code": "OK", **_of_success(ExportTraceServiceResponse.FromString(answer))}
        return {**seen, "stored": _spans(doors) - before}

    def _sent(self) -> Iterator[bytes]:
        if self.pause_seconds:
            time.sleep(self.pause_seconds)
        yield from self.messages


@dataclass(frozen=True)
class Act:
    """Something that takes more than one request; gives what is seen."""

    act: Callable[[OpenDoors], Seen]

    def seen(self, doors: OpenDoors) -> Seen:
        """Act, and say what is seen."""
        return self.act(doors)


def _of_body(status: int, content_type: str, body: bytes) -> Seen:
    kind = content_type.partition(";")[0]
    seen: Seen = {"in": ENCODINGS.get(kind, kind)}
    if status >= 400:
        return {**seen, **_of_status(_message(status_pb2.Status, kind, body))}
    return {**seen, **_of_success(_message(ExportTraceServiceResponse, kind, body))}


def _message(of: Any, kind: str, body: bytes) -> Any:
    if kind == PROTOBUF:
        return of.FromString(body)
    if of is not status_pb2.Status:
        return Parse(body, of())
    document = json.loads(body)
    details = [{"type_url": detail["@type"]} for detail in document.pop("details", [])]
    found = Parse(json.dumps(document), of())
    for detail in details:
        found.details.add(**detail)
    return found


def _of_status(status: Any) -> Seen:
    return {
        "code": status.code,
        "message": 0 < len(status.message) <= 4_096,
        "details": [detail.type_url.rpartition(".")[2] for detail in status.details],
    }


def _of_success(answer: ExportTraceServiceResponse) -> Seen:
    if not answer.HasField("partial_success"):
        return {"rejected": None}
    partial = answer.partial_success
    return {"rejected": partial.rejected_spans, "reason": 0 < len(partial.error_message) <= 4_096}


def _of_refusal(refused: grpc.RpcError) -> Seen:
    trailing: Any = refused.trailing_metadata() or ()
    packed = dict(trailing).get("grpc-status-details-bin", b"")
    status = status_pb2.Status.FromString(packed)
    details = [detail.type_url.rpartition(".")[2] for detail in status.details]
    return {"code": refused.code().name, "message": bool(refused.details()), "details": details}


def _spans(doors: OpenDoors) -> int:
    requests = [ExportTraceServiceRequest.FromString(record.value) for record in doors.stored()]
    return sum(
        len(scope.spans) for one in requests for resource in one.resource_spans for scope in resource.scope_spans
    )


class _Heard:
    def __init__(self, heard: bytes) -> None:
        self._heard = heard

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._heard)


def _parsed(heard: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Read a raw answer; status 0 where the connection was ended without one."""
    if not heard:
        return 0, {}, b""
    response = http.client.HTTPResponse(_Heard(heard))  # type: ignore[arg-type]  # all it does is read
    response.begin()
    return response.status, dict(response.getheaders()), response.read()
