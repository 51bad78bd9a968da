"""API keys: whose a request is, at both doors, and who is turned away before a byte of the body is read."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from open_doors import OpenDoors, request
from pydantic import ValidationError

from collector.receivers.api_keys import MOST_CHARACTERS, ApiKey, ApiKeys, ApiKeysConfig, hash_of, new_key

ACME, UMBRELLA = new_key(), new_key()
KEYS = [ApiKey(tenant="acme", hash=hash_of(ACME)), ApiKey.model_validate({"tenant": "umbrella", "key": UMBRELLA})]
PROTOBUF = {"Content-Type": "application/x-protobuf"}
EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def basic(key: str) -> str:
    return "Basic " + base64.b64encode(f"anybody:{key}".encode()).decode()


PROPER = [
    ({"authorization": f"Bearer {ACME}"}, "acme"),
    ({"authorization": f"bearer  {ACME}"}, "acme"),
    ({"x-api-key": UMBRELLA}, "umbrella"),
    ({"authorization": basic(ACME)}, "acme"),
    ({"authorization": "Bearer of-a-proxy", "x-api-key": ACME}, "acme"),
]
IMPROPER: list[dict[str, str]] = [
    {},
    {"authorization": ACME},
    {"authorization": f"Bearer {ACME}x"},
    {"authorization": f"Bearer {hash_of(ACME)}"},
    {"authorization": "Basic ***"},
    {"authorization": basic("")},
    {"x-api-key": "x" * (MOST_CHARACTERS + 1)},
]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    doors = OpenDoors(tmp_path_factory.mktemp("locked"), keys=KEYS)
    yield doors
    doors.close()


def call(doors: OpenDoors, headers: dict[str, str], body: bytes) -> grpc.StatusCode:
    with grpc.insecure_channel(doors.grpc) as channel:
        export = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        try:
            export(body, timeout=10, metadata=tuple(headers.items()))
        except grpc.RpcError as refused:
            return refused.code()
    return grpc.StatusCode.OK


@pytest.mark.parametrize(("headers", "tenant"), PROPER)
def test_a_key_names_the_tenant_of_what_is_stored(locked: OpenDoors, headers: dict[str, str], tenant: str) -> None:
    before = len(locked.stored())
    assert locked.ask("POST", "/v1/traces", request(), {**PROTOBUF, **headers})[0] == 200
    assert call(locked, headers, request()) == grpc.StatusCode.OK
    records = locked.stored()[before:]
    assert [record.headers["tenant"] for record in records] == [tenant.encode()] * 2


@pytest.mark.parametrize("headers", IMPROPER)
def test_without_a_proper_key_nothing_is_taken(locked: OpenDoors, headers: dict[str, str]) -> None:
    before = len(locked.stored())
    status, answered, body = locked.ask("POST", "/v1/traces", b"{}", {"Content-Type": "application/json", **headers})
    assert (status, json.loads(body)["code"]) == (401, 16)
    assert answered["WWW-Authenticate"].startswith("Bearer")
    assert call(locked, headers, request()) == grpc.StatusCode.UNAUTHENTICATED
    assert len(locked.stored()) == before


def test_who_brings_no_key_is_turned_away_before_the_body_comes(locked: OpenDoors) -> None:
    host, port = locked.http.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n")
        client.sendall(b"Content-Length: 900000\r\nExpect: 100-continue\r\n\r\n")
        assert client.recv(1_000).startswith(b"HTTP/1.1 401")


def test_a_call_without_a_key_is_turned_away_before_its_message_comes(locked: OpenDoors) -> None:
    def never() -> Iterator[bytes]:
        raise AssertionError("it was read")
        yield b""

    with grpc.insecure_channel(locked.grpc) as channel:
        call = channel.stream_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        with pytest.raises(grpc.RpcError) as refused:
            call(_late(never), timeout=10)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


def _late(messages: Any) -> Iterator[bytes]:
    import threading

    threading.Event().wait(0.9)  # less than the door waits for a message: only the key can have ended the call
    yield from messages()


def test_health_needs_no_key(locked: OpenDoors) -> None:
    with grpc.insecure_channel(locked.grpc) as channel:
        check = channel.unary_unary(
            "/grpc.health.v1.Health/Check", request_serializer=bytes, response_deserializer=bytes
        )
        assert check(b"", timeout=10) == b"\x08\x01"


def test_what_is_kept_of_a_key_is_its_hash() -> None:
    keys = ApiKeys(KEYS)
    assert keys.tenant(f"Bearer {ACME}", None) == "acme"
    assert ACME not in str(vars(keys))
    assert UMBRELLA not in repr([entry.model_dump() for entry in KEYS])


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_no_key(authorization: str, api_key: str) -> None:
    assert ApiKeys(KEYS).tenant(authorization, api_key) is None


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"tenant": "acme"}, "exactly one"),
        ({"tenant": "acme", "key": ""}, "environment variable"),
        ({"tenant": "acme", "key": "too short"}, "tracemend keys new"),
        ({"tenant": "acme", "hash": "sha256:12"}, "pattern"),
        ({"tenant": "acme", "hash": hash_of(ACME), "key": ACME}, "exactly one"),
        ({"tenant": "", "hash": hash_of(ACME)}, "at least 1 character"),
        ({"tenant": "a\nb", "hash": hash_of(ACME)}, "pattern"),
    ],
)
def test_an_entry_that_cannot_work_is_refused_when_it_is_read(entry: dict[str, str], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ApiKeysConfig.model_validate([entry])


def test_one_key_cannot_be_of_two_tenants() -> None:
    entries = [{"tenant": tenant, "hash": hash_of(ACME)} for tenant in ("acme", "umbrella")]
    with pytest.raises(ValidationError, match="same key"):
        ApiKeysConfig.model_validate(entries)
