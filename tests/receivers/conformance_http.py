"""The conformance table of the HTTP door."""

from __future__ import annotations

import base64
import gzip
import socket
import time
import zlib
from typing import Any

import cramjam
import zstandard
from conformance_bodies import IDS, attribute, bomb, chunked, in_json, nested, over_record_limit, without_ids
from conformance_requests import JSON, PROTOBUF, Act, HttpRequest, Seen
from conformance_row import KEY, Row
from open_doors import BODY_LIMIT, MOST_CONNECTIONS, OpenDoors, request

BINARY = "OTLP: Binary Protobuf Encoding"
AS_JSON = "OTLP: JSON Protobuf Encoding"
LENIENT = "Collector: pdata JSON"
OTLP_HTTP = "OTLP/HTTP Request"
SUCCESS, PARTIAL, FAILURE = "OTLP/HTTP: Full Success", "OTLP/HTTP: Partial Success", "OTLP/HTTP: Failures"
BAD_DATA, THROTTLING, LIMITS = "OTLP/HTTP: Bad Data", "OTLP/HTTP Throttling", "OTLP: Request size limits"
CODINGS = "Collector: confighttp compression_algorithms"
FETCH = "Fetch: CORS protocol"
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
JSON_HEAD = HEAD.replace(PROTOBUF.encode(), JSON.encode())
PAGE = "https://app.example.com"


def taken(behaviour: str, clause: str, asked: HttpRequest, spans: int = 2) -> Row:
    """Expect a request to be taken whole."""
    kind = "json" if (asked.kind or "").lower().startswith(JSON) else "protobuf"
    return Row("http", behaviour, clause, asked, {"status": 200, "in": kind, "rejected": None, "stored": spans})


def refused(
    behaviour: str, clause: str, asked: HttpRequest, status: int, code: int, given: str = "plain", **expected: Any
) -> Row:
    """Expect a request to be refused with a google.rpc.Status in its own encoding."""
    kind = "protobuf" if asked.kind == PROTOBUF and not asked.raw.startswith(JSON_HEAD) else "json"
    details = ["RetryInfo"] if status in (429, 503) else ["BadRequest"] if code == 3 else []
    seen = {"status": status, "in": kind, "code": code, "message": True, "details": details, "stored": 0}
    return Row("http", behaviour, clause, asked, {**seen, **expected}, given)


def json_row(behaviour: str, clause: str, body: bytes) -> Row:
    """Expect JSON to be taken."""
    return taken(behaviour, clause, HttpRequest(body, JSON), 1)


def coded(coding: str, body: bytes, behaviour: str = "") -> Row:
    """Expect a content coding to be understood."""
    return taken(f"{behaviour or coding} body", CODINGS, HttpRequest(body, encoding=coding))


def _drip(doors: OpenDoors) -> Seen:
    """Send a body a byte at a time, for ever; tell how it ended and whether that took longer than it may."""
    host, port = doors.http.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        slow.settimeout(0.1)
        for _ in range(60):
            slow.sendall(b"x")
            try:
                return {"answer": slow.recv(12).decode()}
            except TimeoutError:
                continue
    return {"answer": "none"}


def _many(doors: OpenDoors) -> Seen:
    """Open more silent connections than there may be, then ask as an honest client."""
    host, port = doors.http.rsplit(":", 1)
    silent = [socket.create_connection((host, int(port)), timeout=10) for _ in range(3 * MOST_CONNECTIONS)]
    time.sleep(0.2)
    try:
        return {"honest": doors.ask("POST", "/v1/traces", b"", {"Content-Type": PROTOBUF})[0]}
    finally:
        for one in silent:
            one.close()


def _twice(doors: OpenDoors) -> Seen:
    """Ask twice on one connection."""
    host, port = doors.http.rsplit(":", 1)
    answers = []
    with socket.create_connection((host, int(port)), timeout=10) as client:
        for _ in range(2):
            client.sendall(HEAD + b"Content-Length: 0\r\n\r\n")
            answers.append(client.recv(1_000)[9:12].decode())
    return {"answers": answers}


def _preflight(doors: OpenDoors, origin: str) -> Seen:
    asked = {"Origin": origin, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "x-api-key"}
    status, headers, _ = doors.ask("OPTIONS", "/v1/traces", b"", asked)
    return {"status": status, "origin": headers.get("Access-Control-Allow-Origin")}


def basic(key: str) -> str:
    """Write a key as the password of Basic."""
    return "Basic " + base64.b64encode(f"user:{key}".encode()).decode()


def keyed(behaviour: str, headers: dict[str, str]) -> Row:
    """Expect a request with a key to be taken."""
    return taken(behaviour, "RFC 9110 §11.6.2", HttpRequest(request(), headers=headers))._replace(given="locked")


NO_HEAD = {"in": "json"}
"""Where the head could not be read, nobody knows what the request was written in."""
LONG_LINE = HEAD + b"X-Long: " + b"x" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"
ROWS: list[Row] = [
    # --- encodings ---
    taken("protobuf", BINARY, HttpRequest(request())),
    taken("empty protobuf body", SUCCESS, HttpRequest(b""), 0),
    taken("application/protobuf", BINARY, HttpRequest(b"", "application/protobuf"), 0),
    taken("unknown protobuf field", BINARY, HttpRequest(request() + b"\xba\x3e\x01x")),
    taken("empty JSON object", SUCCESS, HttpRequest(b"{}", JSON), 0),
    taken(
        "media type in upper case with a parameter", OTLP_HTTP, HttpRequest(b"{}", "Application/JSON; charset=utf-8"), 0
    )._replace(expected={"status": 200, "in": "json", "rejected": None, "stored": 0}),
    taken("a prefix before the path", OTLP_HTTP, HttpRequest(request(), path="/api/public/otel/v1/traces")),
    taken("logs at /v1/logs", OTLP_HTTP, HttpRequest(b"", path="/v1/logs"), 0),
    taken("metrics at /v1/metrics", OTLP_HTTP, HttpRequest(b"", path="/v1/metrics"), 0),
    # --- JSON ---
    json_row("ids in hex, upper case", AS_JSON, in_json()),
    json_row(
        "ids in hex, lower case", AS_JSON, in_json(ids=IDS.replace("B8EFFF", "b8efff").replace("EEE19B", "eee19b"))
    ),
    json_row("unknown field is ignored", AS_JSON, in_json(',"whatever":{"a":[1]}')),
    json_row("enum as a number", AS_JSON, in_json(',"kind":3')),
    json_row("enum as a name", LENIENT, in_json(',"kind":"SPAN_KIND_CLIENT"')),
    json_row("64-bit integer as a text", AS_JSON, in_json(',"startTimeUnixNano":"1544712660000000000"')),
    json_row("64-bit integer as a number", AS_JSON, in_json(',"startTimeUnixNano":1544712660000000000')),
    json_row("32-bit integer as a text", LENIENT, in_json(',"flags":"257"')),
    json_row("int64 value as a bare number", AS_JSON, attribute('{"intValue":42}')),
    json_row("double as a text", LENIENT, attribute('{"doubleValue":"1.5"}')),
    json_row("bytes in base64", AS_JSON, attribute('{"bytesValue":"AAEC/w=="}')),
    json_row("keys in snake case", LENIENT, in_json(',"start_time_unix_nano":"5"')),
    json_row("null is a field's default", AS_JSON, in_json(',"attributes":null')),
    refused(
        "id of a wrong length",
        AS_JSON,
        HttpRequest(in_json(ids='"traceId":"5B8EFF","spanId":"EEE19B7EC3C1B174"'), JSON),
        400,
        3,
    ),
    refused("id that is not hex", AS_JSON, HttpRequest(in_json(ids=IDS.replace("EEE1", "ZZZ1")), JSON), 400, 3),
    refused("integer out of its range", AS_JSON, HttpRequest(in_json(',"flags":4294967296'), JSON), 400, 3),
    refused("JSON that is none", BAD_DATA, HttpRequest(b"{", JSON), 400, 3),
    refused("JSON nested a million deep", LIMITS, HttpRequest(b"[" * 900_000, JSON), 400, 3),
    refused(
        "values nested too deep",
        LIMITS,
        HttpRequest(attribute('{"arrayValue":{"values":[' * 200 + "]}}" * 200), JSON),
        400,
        3,
    ),
    refused("protobuf that is none", BAD_DATA, HttpRequest(b"\xff\xff\xff"), 400, 3),
    # --- content codings ---
    coded("identity", request()),
    coded("gzip", gzip.compress(request())),
    coded("GZIP", gzip.compress(request()), "gzip, named in upper case"),
    coded("zstd", zstandard.compress(request())),
    coded("deflate", zlib.compress(request()), "deflate (zlib)"),
    coded("zlib", zlib.compress(request())),
    coded("snappy", bytes(cramjam.snappy.compress_raw(request())), "snappy, one block"),
    coded("snappy", bytes(cramjam.snappy.compress(request())), "snappy, framed"),
    coded("x-snappy-framed", bytes(cramjam.snappy.compress(request()))),
    coded("lz4", bytes(cramjam.lz4.compress(request()))),
    refused(
        "unknown Content-Encoding",
        "RFC 9110 §15.5.16",
        HttpRequest(request(), encoding="br"),
        415,
        3,
        **{"Accept-Encoding": "deflate, gzip, lz4, snappy, x-gzip, x-snappy-framed, zlib, zstd"},
    ),
    refused("gzip that is none", BAD_DATA, HttpRequest(b"not gzip", encoding="gzip"), 400, 3),
    refused("zstd that is none, JSON", BAD_DATA, HttpRequest(b"not zstd", JSON, encoding="zstd"), 400, 3),
    refused("gzip that is cut off", BAD_DATA, HttpRequest(gzip.compress(request())[:-9], encoding="gzip"), 400, 3),
    # --- HTTP itself ---
    Row(
        "http",
        "chunked body",
        "RFC 9112 §7.1",
        HttpRequest(raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunked(request())),
        {"status": 200, "stored": 2},
    ),
    Row(
        "http",
        "Expect: 100-continue",
        "RFC 9110 §10.1.1",
        HttpRequest(raw=HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n%s" % (len(request()), request())),
        {"status": 200, "stored": 2},
    ),
    Row("http", "two requests on one connection", "RFC 9112 §9.3", Act(_twice), {"answers": ["200", "200"]}),
    refused(
        "chunk that is none",
        "RFC 9112 §7.1",
        HttpRequest(raw=HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        400,
        3,
        **NO_HEAD,
    ),
    refused("request line that is none", "RFC 9112 §3", HttpRequest(kind=JSON, raw=b"what is this\r\n\r\n"), 400, 3),
    refused("head that is too long", "RFC 6585 §5", HttpRequest(kind=JSON, raw=LONG_LINE), 431, 3),
    refused("unknown path", FAILURE, HttpRequest(request(), path="/v2/nothing"), 404, 12),
    refused("unknown path, JSON", FAILURE, HttpRequest(b"{}", JSON, path="/"), 404, 12),
    refused("GET", "RFC 9110 §15.5.6", HttpRequest(method="GET"), 405, 12, Allow="POST"),
    refused("PUT, JSON", "RFC 9110 §15.5.6", HttpRequest(b"{}", JSON, "PUT"), 405, 12, Allow="POST"),
    refused("other Content-Type", "RFC 9110 §15.5.16", HttpRequest(request(), "text/plain"), 415, 3),
    refused("no Content-Type", "RFC 9110 §15.5.16", HttpRequest(request(), None), 415, 3),
    # --- partial success ---
    Row(
        "http",
        "spans without ids are rejected, the rest is taken",
        PARTIAL,
        HttpRequest(without_ids),
        {"status": 200, "rejected": 1, "reason": True, "stored": 2},
    ),
    Row(
        "http",
        "the same, as JSON",
        PARTIAL,
        HttpRequest(in_json(ids='"traceId":"","spanId":""'), JSON),
        {"status": 200, "in": "json", "rejected": 1, "reason": True, "stored": 0},
    ),
    Row(
        "http",
        "a span over the record limit is rejected, the rest is taken",
        PARTIAL,
        HttpRequest(over_record_limit),
        {"status": 200, "rejected": 1, "reason": True, "stored": 2},
        "small records",
    ),
    # --- limits ---
    refused("protobuf values nested too deep", LIMITS, HttpRequest(nested(200)), 400, 3),
    refused("body over the limit", LIMITS, HttpRequest(b"x" * (BODY_LIMIT + 1)), 413, 8),
    refused(
        "chunked body over the limit",
        LIMITS,
        HttpRequest(
            raw=HEAD
            + b"Transfer-Encoding: chunked\r\n\r\n"
            + b"%x\r\n%s\r\n0\r\n\r\n" % (BODY_LIMIT + 1, b"x" * (BODY_LIMIT + 1))
        ),
        413,
        8,
    ),
    refused(
        "Content-Length over the limit, before the body",
        LIMITS,
        HttpRequest(raw=HEAD + b"Content-Length: 1000000000000\r\n\r\n"),
        413,
        8,
    ),
    refused("gzip bomb", LIMITS, HttpRequest(bomb(gzip.compress), encoding="gzip"), 413, 8),
    refused("zstd bomb", LIMITS, HttpRequest(bomb(zstandard.compress), encoding="zstd"), 413, 8),
    refused("zlib bomb", LIMITS, HttpRequest(bomb(zlib.compress), encoding="deflate"), 413, 8),
    refused(
        "snappy bomb, one block",
        LIMITS,
        HttpRequest(lambda: b"\x80\xf8\xeb\x17" + bytes(100), encoding="snappy"),
        413,
        8,
    ),
    refused("lz4 bomb", LIMITS, HttpRequest(bomb(cramjam.lz4.compress), encoding="lz4"), 413, 8),
    refused(
        "body that stops coming",
        THROTTLING,
        HttpRequest(raw=HEAD + b"Content-Length: 100\r\n\r\nhalf"),
        503,
        14,
        "plain",
        **{"Retry-After": True},
    ),
    Row("http", "body that drips", "slow-loris", Act(_drip), {"answer": "HTTP/1.1 503"}),
    Row("http", "head that never ends", "slow-loris", HttpRequest(raw=HEAD), {"status": 0, "stored": 0}),
    Row("http", "more silent connections than there may be", "slow-loris", Act(_many), {"honest": 200}),
    # --- later ---
    refused(
        "bus that cannot write now", THROTTLING, HttpRequest(request()), 503, 14, "overloaded", **{"Retry-After": True}
    ),
    refused(
        "bus that cannot write now, JSON",
        THROTTLING,
        HttpRequest(in_json(), JSON),
        503,
        14,
        "overloaded",
        **{"Retry-After": True},
    ),
    refused("no memory", THROTTLING, HttpRequest(request()), 503, 14, "no memory", **{"Retry-After": True}),
    refused(
        "tenant that has had its share",
        THROTTLING,
        HttpRequest(request()),
        429,
        8,
        "over its share",
        **{"Retry-After": True},
    ),
    # --- keys ---
    keyed("Authorization: Bearer", {"Authorization": f"Bearer {KEY}"}),
    keyed("x-api-key", {"x-api-key": KEY}),
    keyed("Authorization: Basic", {"Authorization": basic(KEY)}),
    refused(
        "no key",
        "RFC 9110 §15.5.2",
        HttpRequest(request()),
        401,
        16,
        "locked",
        **{"WWW-Authenticate": 'Bearer realm="tracemend"'},
    ),
    refused(
        "wrong key, JSON",
        "RFC 9110 §15.5.2",
        HttpRequest(in_json(), JSON, headers={"x-api-key": KEY + "x"}),
        401,
        16,
        "locked",
    ),
    refused(
        "no key, before the body comes",
        "RFC 9110 §15.5.2",
        HttpRequest(raw=HEAD + b"Content-Length: 100000\r\n\r\n"),
        401,
        16,
        "locked",
    ),
    # --- web pages ---
    Row(
        "http",
        "preflight of an allowed page",
        FETCH,
        Act(lambda doors: _preflight(doors, PAGE)),
        {"status": 204, "origin": PAGE},
        "pages",
    ),
    Row(
        "http",
        "preflight of another page",
        FETCH,
        Act(lambda doors: _preflight(doors, "https://evil.com")),
        {"origin": None},
        "pages",
    ),
    refused(
        "preflight where pages are not allowed",
        FETCH,
        HttpRequest(kind=None, method="OPTIONS", headers={"Origin": PAGE}),
        405,
        12,
        Allow="POST",
    ),
]
