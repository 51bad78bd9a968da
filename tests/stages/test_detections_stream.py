"""The stream of detections, from its first line on."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from aiohttp import web

from collector.bus.embedded import EmbeddedBus
from collector.bus.embedded_consumer import EmbeddedConsumer
from collector.bus.protocol import BusUnavailable, Outgoing
from collector.detections_stream import KEEP_ALIVE, DetectionsStream
from schemas.topics import DETECTIONS

READING_SECONDS = 10.0


class SlowToRead(EmbeddedBus):
    """A bus of which a reader is a while in coming, as one of a cluster is; or none is to be had."""

    refusal: Exception | None = None

    def reader(self, topics: Sequence[str]) -> EmbeddedConsumer:
        """Give one in a moment."""
        time.sleep(0.3)
        if self.refusal is not None:
            raise self.refusal
        return super().reader(topics)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[SlowToRead]:
    opened = SlowToRead(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def stream(bus: SlowToRead) -> Iterator[http.client.HTTPConnection]:
    """Serve the stream in an event loop of its own; gives a connection to it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner, port = asyncio.run_coroutine_threadsafe(served(bus), loop).result()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=READING_SECONDS)
    connection.request("GET", "/stream")
    yield connection
    connection.close()
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def served(bus: SlowToRead) -> tuple[web.AppRunner, int]:
    app = web.Application()
    app.router.add_get("/stream", DetectionsStream(bus, lambda _: "default").handle)
    runner = web.AppRunner(app, shutdown_timeout=5)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, runner.addresses[0][1]


def test_whoever_has_seen_its_first_line_misses_nothing_after_it(
    bus: SlowToRead, stream: http.client.HTTPConnection
) -> None:
    answer = stream.getresponse()
    assert answer.readline() == KEEP_ALIVE.splitlines(keepends=True)[0]
    bus.publish([Outgoing(DETECTIONS, "default/run", b'{"id": "1"}')]).result()
    told = (answer.readline() for _ in range(20))
    assert b'data: {"id": "1"}\n' in told


def test_a_bus_that_cannot_be_read_is_an_answer_with_the_reason(
    bus: SlowToRead, stream: http.client.HTTPConnection
) -> None:
    bus.refusal = BusUnavailable("Kafka is away")
    answer = stream.getresponse()
    assert (answer.status, answer.read()) == (503, b"Kafka is away\n")
