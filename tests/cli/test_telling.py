"""What `tracemend up` prints of the topic of detections, which on Kafka anybody may write to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import BusUnavailable, Outgoing
from collector.cli.up import _new, detection_line
from schemas.topics import DETECTIONS

DETECTION = {
    "id": "4c46d873",
    "type": "loop",
    "status": "open",
    "severity": "high",
    "confidence": 0.91,
    "trace_id": "18eb9757",
    "title": "researcher called search 3 times",
    "agent": None,
}
JSON = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3))
CHANGED = st.dictionaries(st.sampled_from(sorted(DETECTION)), JSON).map(lambda other: DETECTION | other)
"""Detections of which some fields are something else."""


def as_json(document: object) -> bytes:
    return json.dumps(document).encode()


def shown(bus: EmbeddedBus, *values: bytes) -> list[str]:
    """Write records to the topic, and give the lines that come of them."""
    reader = bus.reader([DETECTIONS])
    bus.publish([Outgoing(DETECTIONS, "default/run", value) for value in values]).result(10)
    lines = [detection_line(document) for document in asyncio.run(_new(reader))]
    reader.close()
    return lines


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedBus]:
    opened = EmbeddedBus(tmp_path_factory.mktemp("bus"))
    yield opened
    opened.close()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=80) | JSON.map(as_json) | CHANGED.map(as_json), max_size=4))
def test_what_is_no_detection_is_passed_over_and_the_next_is_shown(bus: EmbeddedBus, others: list[bytes]) -> None:
    lines = shown(bus, *others, as_json(DETECTION))
    assert lines[-1] == detection_line(DETECTION)
    assert lines[-1].startswith("detection loop open severity=high confidence=0.91 trace=18eb9757 id=4c46d873")


class Away:
    """A reader whose bus is away for now."""

    def poll(self, *_: object, **__: object) -> None:
        """Say so."""
        raise BusUnavailable("Kafka is away", 0.01)


def test_a_bus_that_is_away_ends_nothing() -> None:
    assert asyncio.run(_new(Away())) == []  # type: ignore[arg-type]  # all that is asked of it
