"""`tracemend topics` on a real broker."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

import pytest
from kafka_broker import Broker

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_topics import KafkaTopics
from schemas.topics import GROUPS, OTLP_SPANS, POLICIES, TOPICS, USAGE, Topic


class Command:
    """`tracemend topics` under one prefix."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.connection = KafkaConnection(bootstrap, prefix)
        self._settings = [f"bus::kafka::brokers={bootstrap}", f"bus::prefix={prefix}", "bus::partitions=3"]

    def __call__(self, action: str, *options: str) -> subprocess.CompletedProcess[str]:
        settings = [part for setting in self._settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "collector.cli.main", "topics", action, *settings, *options]
        return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    def make(self, topic: Topic, partitions: int) -> None:
        """Make a topic as somebody else might."""

        async def make() -> None:
            topics = KafkaTopics(self.connection)
            await topics.start()
            await topics.create([topic], partitions, 1)
            await topics.close()

        asyncio.run(make())


@pytest.fixture
def topics(kafka: Broker, topic_prefix: str) -> Command:
    return Command(kafka.bootstrap, topic_prefix)


def test_topics_are_made_once_and_are_as_the_table_has_them(topics: Command) -> None:
    missing = topics("check")
    assert missing.returncode == 1
    assert "run `tracemend topics create`" in missing.stdout
    made = topics("create")
    assert made.returncode == 0, made.stderr
    assert f"{len(TOPICS) + len(GROUPS)} topics were made, 0 were there" in made.stderr
    assert "0 topics were made" in topics("create").stderr
    rows = {row["topic"]: row for row in json.loads(topics("describe", "--format", "json").stdout)}
    assert len(rows) == len(TOPICS) + len(GROUPS)
    assert all(row["settings"] == row["wanted"] and row["partitions"] == 3 for row in rows.values())
    assert rows[f"{topics.connection.prefix}{POLICIES}"]["settings"]["cleanup.policy"] == "compact"
    assert rows[f"{topics.connection.prefix}{OTLP_SPANS}"]["settings"]["message.timestamp.type"] == "LogAppendTime"


def test_a_topic_that_is_otherwise_is_refused_with_the_reason(topics: Command) -> None:
    topics.make(Topic(USAGE, 60), 5)
    made = topics("create", "--format", "json")
    assert made.returncode == 1
    problems = [row["problem"] for row in json.loads(made.stdout)]
    assert len(problems) == 2
    assert problems[0].startswith("has 5 partitions and bus::partitions is 3")
    assert problems[1].startswith("has retention.ms=60000 instead of 259200000")


def test_the_embedded_bus_and_a_broker_that_is_not_there_are_told() -> None:
    command = [sys.executable, "-m", "collector.cli.main", "topics", "check"]
    embedded = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert embedded.returncode == 2
    assert "bus::kafka::brokers" in embedded.stderr
    nobody = [*command, "--set", "bus::kafka::brokers=127.0.0.1:1"]
    told = subprocess.run(nobody, capture_output=True, text=True, timeout=100, check=False)
    assert told.returncode == 1
    assert "connecting to Kafka on 127.0.0.1:1" in told.stderr.splitlines()[-1]


def test_groups_of_the_configuration_have_their_changelogs(kafka: Broker, topic_prefix: str) -> None:
    topics = Command(kafka.bootstrap, topic_prefix)
    own = ("--set", "service::groups::quick=[loop]", "--set", "sinks::webhook/ops::url=http://localhost:1")
    made = topics("create", *own)
    assert made.returncode == 0, made.stderr
    rows = [json.loads(line) for line in topics("describe", "--format", "jsonl", *own).stdout.splitlines()]
    names = {row["topic"] for row in rows}
    assert f"{topic_prefix}processors-quick-changelog" in names
    assert not [name for name in names if "webhook" in name], "it keeps no state"
