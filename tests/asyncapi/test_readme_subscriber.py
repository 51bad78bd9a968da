"""The subscriber that the README shows reads detections from a real broker, as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from kafka_broker import Broker
from kafka_buses import make_topics, open_kafka_bus

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.protocol import Outgoing
from collector.example_records import example_records

README = Path(__file__).parents[2] / "README.md"
PLACEHOLDER = '"localhost:9092"'
LONGEST = 15
DETECTION = example_records()[0]


def shown() -> str:
    section = README.read_text("utf-8").split("## Subscribe to it", 1)[1]
    return section.split("```python\n", 1)[1].split("```", 1)[0]


def is_about_a_detection(line: str) -> bool:
    """Tell what the subscriber prints from what FastStream logs."""
    return re.match(r"[0-9a-f]{32}\.\d+ ", line) is not None


def test_it_is_short() -> None:
    assert len(shown().splitlines()) <= LONGEST


@pytest.mark.timeout(180)
def test_it_tells_what_is_high_and_open_and_nothing_else(kafka: Broker, topic_prefix: str, tmp_path: Path) -> None:
    make_topics(KafkaConnection(kafka.bootstrap, topic_prefix), partitions=2)
    bus = open_kafka_bus(kafka.bootstrap, topic_prefix)
    other = [DETECTION.value.replace(b'"high"', b'"low"'), DETECTION.value.replace(b'"open"', b'"closed"')]
    assert DETECTION.value not in other
    records = [
        Outgoing(DETECTION.topic, f"default/run-{at}", value, DETECTION.headers) for at, value in enumerate(other)
    ]
    bus.publish([*records, DETECTION]).result(30)
    bus.close()
    script = tmp_path / "subscriber.py"
    assert PLACEHOLDER in shown()
    code = shown().replace(PLACEHOLDER, f'"{kafka.bootstrap}"').replace('"detections"', f'"{topic_prefix}detections"')
    script.write_text(code.replace('"on-call"', f'"{topic_prefix}on-call"'))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as it:
        watchdog = threading.Timer(120, it.kill)
        watchdog.start()
        try:
            assert it.stdout is not None
            said: list[str] = []
            while not any(is_about_a_detection(line) for line in said) and (line := it.stdout.readline()):
                said.append(line)
        finally:
            watchdog.cancel()
            it.terminate()
        rest, log = it.communicate()
    ce_id = DETECTION.headers["ce_id"].decode()
    told = [line for line in (*said, *rest.splitlines()) if is_about_a_detection(line)]
    assert told == [f"{ce_id} researcher researcher called search_flights 5 times with the same arguments\n"], log
