"""What fuzzing starts from: requests recorded from agents, and the corpus of inputs that once went wrong."""

from __future__ import annotations

import base64
import gzip
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import cramjam
import orjson
import zstandard
from google.protobuf.json_format import MessageToDict
from targets import HOME, KEY, MARK

from collector.receivers.compression import DECODERS
from collector.receivers.signals import SIGNALS, Signal
from schemas.healing import Policy, Rule, encode

FOLDER = Path(__file__).parent
RECORDED = FOLDER.parent / "captures" / "recorded"
CONFIGURATIONS = FOLDER.parents[1] / "config"
LARGEST_SEED = 20_000
BOMB_BYTES = 1 << 22
HEX = ("traceId", "spanId", "parentSpanId")
STATEMENTS = (
    b"SELECT count() FROM otel_traces /* all */ WHERE SpanName = 'file(' FORMAT JSON;",
    b"WITH x AS (SELECT 1) SELECT * FROM x -- so",
    b"(SELECT 'it''s' AS \"a b\") UNION ALL (SELECT {x:String})",
    b"SELECT * FROM file('/x')",
    b"SELECT a APPLY(file), arrayMap(file, [1]) FROM otel_traces",
    b"SELECT 1 INTO OUTFILE '/x'",
)
DOCUMENTS = (
    b"a: !!int x\nb: !!bool maybe\nc: !!float x\nd: !!timestamp x\ne: !!binary x\nf: !!set {a}\ng: !!null x",
    b"a: &x [1]\nb: *x\n<<: {c: 1}\na: again",
    b"? [complex, key]\n: {deep: [[[[[[[[[[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]]]]]]]]]}",
    b"service: {data_dir: '${env:SET:-${NESTED:-$$}}', pipelines: ${env:NESTED}}\nreceivers: {otlp/: , a: {no: 1}}",
    b"--- {bus: 1}\n--- {bus: 2}\n%TAG ! x\n0x_: 1e999\n1:1: .nan\n",
)
ODD_JSON = (
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"SPAN_KIND_CLIENT","startTimeUnixNano":"1e999","flags":-0.0}]}]}]}',
    b'{"resource_spans":[{"resource":{"attributes":[{"key":"k","value":{"doubleValue":"Infinity","bytesValue":"_-8"}}]}}]}',
    b'{"resourceSpans":[{"resource":{"attributes":[{"value":{"intValue":1e300}},{"value":{"arrayValue":{"values":[{}]}}}]}}]}',
)
POLICY = Policy(
    tenant=HOME.tenant,
    service=HOME.service,
    agent=HOME.agent,
    version=1,
    at="2026-01-01T00:00:00Z",
    rules=(
        Rule(
            id="r1",
            fix_type="circuit_breaker",
            parameters={"max_failures": 3, "tools": ["search"]},
            scope="agent",
            run_id=None,
            expires_at="2028-01-01T00:00:00Z",
            detection_ids=("d1",),
        ),
    ),
)
ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "zlib": zlib.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
    "snappy": lambda data: bytes(cramjam.snappy.compress_raw(data)),
    "x-snappy-framed": lambda data: bytes(cramjam.snappy.compress(data)),
    "lz4": lambda data: bytes(cramjam.lz4.compress(data)),
}


@cache
def recorded(signal: Signal) -> list[bytes]:
    """Give the requests of a signal that real agents sent, without very large ones."""
    files = sorted(RECORDED.glob(f"*/*-{signal.name}-*.binpb"))
    return [body for body in (file.read_bytes() for file in files) if len(body) <= LARGEST_SEED]


def seeds(target: str) -> Iterator[bytes]:
    """Give what a target starts from."""
    bodies = [(signal, body) for signal in SIGNALS for body in recorded(signal)[:12]]
    match target:
        case "otlp_json":
            yield from (as_json(signal, body) + MARK[signal.name] for signal, body in bodies)
            yield from (text + MARK["traces"] for text in ODD_JSON)
        case "spans_by_partition":
            yield from (b"\x05\x01\x00" + body + MARK[signal.name] for signal, body in bodies)
        case "decompression":
            for number, name in enumerate(sorted(DECODERS)):
                yield bytes([number]) + ENCODERS[name](bodies[0][1])
                yield bytes([number]) + ENCODERS[name](bytes(BOMB_BYTES))
        case "yaml_dialect":
            yield from (file.read_bytes() for file in sorted(CONFIGURATIONS.rglob("*.yaml")))
            yield from DOCUMENTS
        case "statement_filter":
            yield from STATEMENTS
        case "api_keys":
            yield from (f"{scheme} {KEY}\n".encode() for scheme in ("Bearer", "Basic", "", "x"))
            yield b"Basic " + base64.b64encode(f"user:{KEY}".encode()) + b"\n" + KEY.encode()
        case "policy_board":
            yield encode(POLICY)
        case _:
            yield from (body + MARK[signal.name] for signal, body in bodies)


def as_json(signal: Signal, body: bytes) -> bytes:
    """Write a request as OTLP's JSON."""
    return orjson.dumps(_with_hex(MessageToDict(signal.request.FromString(body))))


def _with_hex(value: object, key: str = "") -> object:
    """Turn ids into hex, as OTLP has them, from base64, as protobuf's own JSON does."""
    if isinstance(value, dict):
        return {name: _with_hex(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_with_hex(item) for item in value]
    return base64.b64decode(value).hex() if key in HEX and isinstance(value, str) else value


def corpus(target: str) -> list[Path]:
    """List the inputs that once went wrong for a target."""
    return sorted((FOLDER / "corpus" / target).glob("*"))
