"""A publisher that gives up does not take the bus with it."""

from __future__ import annotations

from pathlib import Path

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Outgoing
from schemas.topics import OTLP_SPANS


def test_the_writer_goes_on_after_publishes_that_were_cancelled(tmp_path: Path) -> None:
    bus = EmbeddedBus(tmp_path)
    try:
        for number in range(200):
            bus.publish([Outgoing(OTLP_SPANS, str(number), b"given up")]).cancel()
        bus.publish([Outgoing(OTLP_SPANS, "k", b"waited for")]).result(10)
    finally:
        bus.close()
