"""OTLP over HTTP: what is taken, what is refused, and how; the table follows the specification's clauses."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import zlib
from collections.abc import Callable
from typing import NamedTuple

import cramjam
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from open_doors import BODY_LIMIT, OpenDoors, request
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from collector.admission import EXPANSION, Admission
from collector.bus.protocol import BusUnavailable

PROTOBUF, JSON = "application/x-protobuf", "application/json"
SPAN = '{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"eee19b7ec3c1b174","name":"x"%s}'
BODY = '{"resourceSpans":[{"scopeSpans":[{"spans":[' + SPAN + "]}]}]}"


def in_json(extra: str = "") -> bytes:
    return (BODY % extra).encode()


class Case(NamedTuple):
    what: str
    status: int
    method: str = "POST"
    path: str = "/v1/traces"
    body: bytes = b""
    kind: str | None = PROTOBUF
    encoding: str = ""


CASES = [
    Case("protobuf", 200, body=request()),
    Case("an empty protobuf request", 200),
    Case("an empty JSON request", 200, body=b"{}", kind=JSON),
    Case("an upper-case content type with parameters", 200, body=in_json(), kind="Application/JSON; charset=utf-8"),
    Case("a path with something before it", 200, path="/api/public/otel/v1/traces", body=request()),
    Case("gzip", 200, body=gzip.compress(request()), encoding="gzip"),
    Case("zstd", 200, body=zstandard.compress(request()), encoding="zstd"),
    Case("deflate, which is zlib", 200, body=zlib.compress(request()), encoding="deflate"),
    Case("snappy as one block", 200, body=bytes(cramjam.snappy.compress_raw(request())), encoding="snappy"),
    Case("snappy in frames", 200, body=bytes(cramjam.snappy.compress(request())), encoding="snappy"),
    Case("lz4", 200, body=bytes(cramjam.lz4.compress(request())), encoding="lz4"),
    Case(
        "JSON with 64-bit numbers as numbers", 200, body=in_json(',"startTimeUnixNano":1544712660000000000'), kind=JSON
    ),
    Case(
        "JSON with 64-bit numbers as texts", 200, body=in_json(',"startTimeUnixNano":"1544712660000000000"'), kind=JSON
    ),
    Case("JSON with an enum by name", 200, body=in_json(',"kind":"SPAN_KIND_CLIENT"'), kind=JSON),
    Case("JSON with an enum by number", 200, body=in_json(',"kind":3'), kind=JSON),
    Case("JSON with an unknown field", 200, body=in_json(',"whatever":{"a":[1]}'), kind=JSON),
    Case("JSON in snake case", 200, body=in_json(',"start_time_unix_nano":"5"'), kind=JSON),
    Case("protobuf that is none", 400, body=b"\xff\xff\xff"),
    Case("JSON that is none", 400, body=b"{", kind=JSON),
    Case("JSON with an id that is not hex", 400, body=in_json().replace(b"eee19b7ec3c1b174", b"zzz"), kind=JSON),
    Case("JSON that is nested too deep", 400, body=b'{"a":' + b"[" * 5_000 + b"]" * 5_000 + b"}", kind=JSON),
    Case("gzip that is none", 400, body=b"not gzip", encoding="gzip"),
    Case("an encoding nobody knows", 415, body=request(), encoding="br"),
    Case("another path", 404, path="/v2/nothing", body=request()),
    Case("another method", 405, method="GET"),
    Case("another content type", 415, body=request(), kind="text/plain"),
    Case("no content type", 415, body=request(), kind=None),
    Case("a body over the limit", 413, body=b"x" * (BODY_LIMIT + 1)),
    Case("a small bomb", 413, body=gzip.compress(bytes(50_000_000)), encoding="gzip"),
    Case("a small zstd bomb", 413, body=zstandard.compress(bytes(50_000_000)), encoding="zstd"),
    Case("logs", 200, path="/v1/logs"),
    Case("metrics", 200, path="/v1/metrics"),
]


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_every_kind_of_request_is_answered_as_specified(doors: OpenDoors, case: Case) -> None:
    headers = {**({"Content-Type": case.kind} if case.kind else {})}
    if case.encoding:
        headers["Content-Encoding"] = case.encoding
    status, answered, body = doors.ask(case.method, case.path, case.body, headers)
    assert status == case.status
    as_json = case.kind != PROTOBUF
    assert answered["Content-Type"].split(";")[0] == (JSON if as_json else PROTOBUF)
    if status >= 400 and as_json:
        assert json.loads(body)["message"]
    elif status >= 400:
        assert body[:1] == b"\x08"  # google.rpc.Status begins with its code
    if status == 405:
        assert answered["Allow"] == "POST"


def test_what_was_taken_is_on_the_bus_unchanged_with_its_hash(own_doors: OpenDoors) -> None:
    own_doors.ask("POST", "/v1/traces", request(3), {"Content-Type": PROTOBUF})
    (record,) = own_doors.stored()
    assert record.value == request(3)
    assert len(record.headers["content-hash"]) == 16


def test_json_becomes_the_same_spans(own_doors: OpenDoors) -> None:
    own_doors.ask("POST", "/v1/traces", in_json(',"kind":"SPAN_KIND_CLIENT"'), {"Content-Type": JSON})
    (record,) = own_doors.stored()
    span = ExportTraceServiceRequest.FromString(record.value).resource_spans[0].scope_spans[0].spans[0]
    assert (span.trace_id.hex(), span.kind) == ("5b8efff798038103d269b633813fc60c", 3)
    assert record.key == "5b8efff798038103d269b633813fc60c"


def test_spans_without_ids_are_rejected_and_the_rest_is_taken(own_doors: OpenDoors) -> None:
    mixed = ExportTraceServiceRequest.FromString(request(2))
    mixed.resource_spans[0].scope_spans[0].spans.add(trace_id=b"short", span_id=bytes(8))
    status, _, body = own_doors.ask("POST", "/v1/traces", mixed.SerializeToString(), {"Content-Type": PROTOBUF})
    partial = ExportTraceServiceResponse.FromString(body).partial_success
    assert (status, partial.rejected_spans) == (200, 1)
    assert "trace id" in partial.error_message
    (record,) = own_doors.stored()
    assert record.value == request(2)


def test_ok_is_said_only_once_the_bus_has_it(own_doors: OpenDoors) -> None:
    own_doors.bus.held = []
    answers: list[int] = []
    asking = threading.Thread(
        target=lambda: answers.append(own_doors.ask("POST", "/v1/traces", request(), {"Content-Type": PROTOBUF})[0])
    )
    asking.start()
    while not own_doors.bus.held:
        asking.join(0.01)
    asking.join(0.1)
    assert answers == []
    own_doors.bus.held[0][1].set_result(None)
    asking.join(5)
    assert answers == [200]


def test_a_bus_that_cannot_take_it_now_is_told_as_later_with_a_delay(own_doors: OpenDoors) -> None:
    own_doors.bus.refusal = BusUnavailable("disk full", 7.0)
    status, headers, _ = own_doors.ask("POST", "/v1/traces", request(), {"Content-Type": PROTOBUF})
    assert (status, headers["Retry-After"]) == (503, "7")


def test_without_memory_everything_is_refused_until_later(tmp_path_factory: pytest.TempPathFactory) -> None:
    tight = OpenDoors(tmp_path_factory.mktemp("tight"), limit_bytes=1_000)
    status, headers, _ = tight.ask("POST", "/v1/traces", request(), {"Content-Type": PROTOBUF})
    tight.close()
    assert status == 503
    assert int(headers["Retry-After"]) >= 1


def test_a_client_that_does_not_finish_its_body_is_not_waited_for(doors: OpenDoors) -> None:
    host, port = doors.http.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
        slow.sendall(b"Content-Length: 100\r\n\r\nhalf")
        assert slow.recv(1_000).startswith(b"HTTP/1.1 503")


def test_chunked_bodies_and_expectations_are_understood(doors: OpenDoors) -> None:
    host, port = doors.http.split(":")
    body = request()
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
        client.sendall(b"Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1_000).startswith(b"HTTP/1.1 100")
        client.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert client.recv(1_000).startswith(b"HTTP/1.1 200")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=400),
    st.sampled_from((PROTOBUF, JSON)),
    st.sampled_from(("", "gzip", "zstd", "deflate", "snappy", "lz4")),
)
def test_any_bytes_get_an_answer_that_is_no_500(doors: OpenDoors, body: bytes, kind: str, encoding: str) -> None:
    headers = {"Content-Type": kind, **({"Content-Encoding": encoding} if encoding else {})}
    assert doors.ask("POST", "/v1/traces", body, headers)[0] in (200, 400, 413)


SQUEEZE: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("encoding", SQUEEZE)
def test_what_can_never_fit_into_the_memory_is_too_large_and_says_what_to_do(
    tmp_path_factory: pytest.TempPathFactory, encoding: str
) -> None:
    admission = Admission(100 * EXPANSION * 1_000, lambda: 0)
    tight = OpenDoors(tmp_path_factory.mktemp("tight"), admission=admission, body_limit=1_000_000)
    squeeze = SQUEEZE[encoding]
    headers = {"Content-Type": PROTOBUF} | ({"Content-Encoding": encoding} if encoding else {})
    try:
        fits = tight.ask("POST", "/v1/traces", squeeze(request(name="x" * 40_000)), headers)
        never = tight.ask("POST", "/v1/traces", squeeze(request(name="x" * 60_000)), headers)
        stored = len(tight.stored())
    finally:
        tight.close()
    assert (fits[0], never[0], stored) == (200, 413, 1)
    assert b"memory_limit_mib" in never[2]
    assert "Retry-After" not in never[1]


def test_a_gzip_body_that_lies_about_its_size_is_held_to_what_it_becomes(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    admission = Admission(100 * EXPANSION * 1_000, lambda: 0)
    tight = OpenDoors(tmp_path_factory.mktemp("tight"), admission=admission, body_limit=90_000)
    headers = {"Content-Type": PROTOBUF, "Content-Encoding": "gzip"}
    body = request(name="x" * 30_000)
    try:
        two_members = gzip.compress(body[:59_000]) + gzip.compress(body[59_000:])
        assert tight.ask("POST", "/v1/traces", two_members, headers)[0] == 200
        bomb = gzip.compress(bytes(50_000_000))[:-4] + (10).to_bytes(4, "little")
        assert tight.ask("POST", "/v1/traces", bomb, headers)[0] == 413
    finally:
        tight.close()
