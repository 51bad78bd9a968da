"""What a person says by the command line, on its way to the bus."""

from __future__ import annotations

import getpass
from collections.abc import Iterable

from collector.bus.protocol import Outgoing
from collector.opened_bus import open_bus
from config.settings import Settings

PUBLISH_SECONDS = 30


def person() -> str:
    """Name who is at the keyboard."""
    return getpass.getuser()


def publish(settings: Settings, records: Iterable[Outgoing]) -> None:
    """Put records on the bus; returns once they are durable, raises BusError."""
    bus = open_bus(settings)
    try:
        bus.publish(list(records)).result(PUBLISH_SECONDS)
    finally:
        bus.close()
