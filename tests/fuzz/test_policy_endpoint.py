"""The policy endpoint beside the doors under any request: an answer, never a 5xx."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_state import MemoryState
from raw_exchange import exchange, statuses
from seeds import POLICY
from structured import mutated
from targets import HOME, NOW_NS

from collector.bus.protocol import Batch, Record
from collector.http_api import Health, HttpApi
from healing.policy_board import PolicyBoard
from healing.policy_http import PATHS, policy_handler
from schemas.healing import encode
from schemas.topics import POLICIES

PARTS = st.sampled_from(
    ("fuzzed", "agent", "", "%00", "%ff", "%2f", "..", "\xff", "a" * 5_000, "%E4%B8%96", "{x}", "?")
)
QUERIES = st.sampled_from(
    ("", "?wait=0", "?wait=0.01", "?wait=nan", "?wait=1e999", "?wait=%00", "?wait=-1", "?wait", "?=&;")
)
HELD = st.sampled_from(
    ("", 'If-None-Match: "x"', "If-None-Match: *", "If-None-Match: W/,,", "If-None-Match: \xff" * 50)
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    board = PolicyBoard()
    board.handle(Batch([Record(POLICIES, 0, 0, HOME.key, encode(POLICY), {}, NOW_NS)], NOW_NS), MemoryState())
    handler = policy_handler(board, lambda: NOW_NS, lambda _request: HOME.tenant)
    api = HttpApi("127.0.0.1:0", lambda: Health(ready=True, components={}), [(path, handler) for path in PATHS])
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(api.start(), loop).result(10)
    yield f"127.0.0.1:{api.port}"
    asyncio.run_coroutine_threadsafe(api.stop(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


@st.composite
def requests(draw: Any) -> bytes:
    """Make a GET of a policy, by any names."""
    path = "/".join(["/v1/policies", *draw(st.lists(PARTS, max_size=3))]) + draw(QUERIES)
    held = draw(HELD)
    lines = [f"GET {path} HTTP/1.1", "Host: x", *([held] if held else []), "\r\n"]
    said: bytes = "\r\n".join(lines).encode("latin-1")
    return said


def test_the_policy_that_stands_is_answered(address: str) -> None:
    heard = exchange(address, b"GET /v1/policies/fuzzed/agent HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(heard) == [200]
    assert b"circuit_breaker" in heard


@given(requests() | mutated(requests()) | st.binary(max_size=100))
@settings(deadline=None)
def test_any_request_is_answered_or_refused(address: str, said: bytes) -> None:
    assert all(status < 500 for status in statuses(exchange(address, said, patience_seconds=0.1)))
