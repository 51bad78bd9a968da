"""`GET /v1/detections/stream`: detections as server-sent events, resumable by `Last-Event-ID`.

An event's id is its place on the bus, `partition:offset` joined by commas over the partitions read so far,
so that a client which comes back gets what it missed, as far as the topic still holds it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from aiohttp import web

from collector.bus.polling import polled
from collector.bus.protocol import Bus, BusUnavailable, Consumer, Record
from schemas.keys import split_key
from schemas.topics import DETECTIONS

CLIENTS = 16
"""Streams at a time; each takes a thread while it waits."""
POLL_SECONDS = 1.0
KEEP_ALIVE = b": still here\n\n"


class DetectionsStream:
    """Serves the stream. One instance for the whole server."""

    def __init__(self, bus: Bus, tenant_of: Callable[[web.Request], str]) -> None:
        self._bus = bus
        self._tenant_of = tenant_of
        self._clients = asyncio.Semaphore(CLIENTS)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one client until it goes away."""
        tenant = self._tenant_of(request)
        try:
            resume = parse_event_id(request.headers.get("Last-Event-ID", request.query.get("last_event_id", "")))
        except ValueError:
            return web.Response(status=400, text="Last-Event-ID is not one of ours: expected partition:offset,...\n")
        if self._clients.locked():
            return web.Response(status=503, text="too many streams are open\n", headers={"Retry-After": "5"})
        async with self._clients:
            return await self._stream(request, resume, tenant)

    async def _stream(self, request: web.Request, resume: dict[int, int], tenant: str) -> web.StreamResponse:
        try:
            reader = await asyncio.to_thread(self._bus.reader, [DETECTIONS])
        except BusUnavailable as error:
            return web.Response(status=503, text=f"{error}\n", headers={"Retry-After": "5"})
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        )
        try:
            # Only once the reader is there: whoever has seen this line misses nothing that is told after it.
            await response.prepare(request)
            await response.write(KEEP_ALIVE)
            await self._send_all(response, reader, resume, tenant)
        except (ConnectionResetError, asyncio.CancelledError):
            return response
        finally:
            await asyncio.to_thread(reader.close)
        return response

    async def _send_all(
        self, response: web.StreamResponse, reader: Consumer, resume: dict[int, int], tenant: str
    ) -> None:
        places = dict(resume)
        for partition, offset in resume.items():
            reader.seek(DETECTIONS, partition, offset + 1)
        while True:
            batch = await polled(reader, 200, POLL_SECONDS)
            await response.write(b"".join(events(batch.records, places, tenant)) or KEEP_ALIVE)


def events(records: Iterable[Record], places: dict[int, int], tenant: str) -> Iterable[bytes]:
    """Write a tenant's records as events, keeping `places` at the last offset of each partition."""
    for record in records:
        places[record.partition] = record.offset
        if split_key(record.key)[0] != tenant:
            continue
        place = ",".join(f"{partition}:{offset}" for partition, offset in sorted(places.items()))
        yield b"id: " + place.encode() + b"\nevent: detection\ndata: " + record.value + b"\n\n"


def parse_event_id(text: str) -> dict[int, int]:
    """Read an event id; raises ValueError for what is not one."""
    places: dict[int, int] = {}
    for part in filter(None, text[:4_096].split(",")):
        partition, _, offset = part.partition(":")
        places[int(partition)] = int(offset)
    return places
