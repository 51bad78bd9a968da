"""grpc.health.v1: whether the door takes calls, asked once (`Check`) or watched (`Watch`); it needs no key.

https://github.com/grpc/grpc/blob/master/doc/health-checking.md. The empty name stands for the whole door.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc

from collector.protobuf_wire import LENGTH, WireError, fields

SERVICE = "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"
NAME_TAG = 1 << 3 | LENGTH


class GrpcHealth:
    """Answers for the services of one door; the door is serving until `stop`."""

    def __init__(self, services: Iterable[str]) -> None:
        self._known = {b"", SERVICE.encode(), *(service.encode() for service in services)}
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Tell who watches that the door takes no more."""
        self._stopping.set()

    def handler(self) -> Any:
        """Give the service for a server."""
        methods = {
            "Check": grpc.unary_unary_rpc_method_handler(self._check),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    async def _check(self, request: bytes, context: Any) -> bytes:
        if _named(request) not in self._known:
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such service")
        return self._status()

    async def _watch(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        known = _named(request) in self._known
        yield self._status() if known else SERVICE_UNKNOWN
        if not self._stopping.is_set():
            await self._stopping.wait()
            yield NOT_SERVING if known else SERVICE_UNKNOWN

    def _status(self) -> bytes:
        return NOT_SERVING if self._stopping.is_set() else SERVING


def _named(request: bytes) -> bytes | None:
    """Read the name of the service that is asked about; None for what is no such question."""
    try:
        names = [request[value:end] for tag, _, value, end in fields(request, 0, len(request)) if tag == NAME_TAG]
    except WireError:
        return None
    return names[-1] if names else b""
