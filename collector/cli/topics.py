"""`tracemend topics create|describe|check`: the topics of a Kafka bus, made and held against the table they follow."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from collector.bus.kafka_topics import Found, KafkaTopics, settings_of
from collector.cli.configuration import load_settings
from collector.cli.output import WrongUsage, add_row, check_format, make_table, print_rows
from collector.opened_bus import connection_of
from collector.processor_groups import DETECTORS
from config.settings import BusSettings, KafkaBusSettings, Settings
from schemas.topics import GROUPS, TOPICS, Topic, changelog_of


def create(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Make the topics that are not there; those that are stay as they are. Returns the exit status of `check`."""
    check_format(format_)
    bus, kafka, topics = _kafka_of(config, set_, data_dir)
    made = asyncio.run(_create(bus, kafka, topics))
    sys.stderr.write(f"{len(made)} topics were made, {len(topics) - len(made)} were there\n")
    return check(config, set_, data_dir, format_)


def describe(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print how the topics are; returns 0."""
    check_format(format_)
    bus, kafka, topics = _kafka_of(config, set_, data_dir)
    found = asyncio.run(_found(bus, kafka, topics))
    table = make_table("topic", "partitions", "replicas", "cleanup", "retention", "largest batch", "time")
    for topic in topics:
        one = found.get(topic.name)
        name = bus.prefix + topic.name
        if one is None:
            add_row(table, name, ("not there", "bold"), "", "", "", "", "")
        else:
            add_row(table, name, str(one.partitions), str(one.replication), *_told(one.settings))
    print_rows(format_, [_row(bus, topic, found.get(topic.name)) for topic in topics], table)
    return 0


def check(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print what is not as it has to be, with the reason; returns 0 where nothing is, else 1."""
    check_format(format_)
    bus, kafka, topics = _kafka_of(config, set_, data_dir)
    found = asyncio.run(_found(bus, kafka, topics))
    wrong = [(topic, reason) for topic in topics for reason in mismatches(bus, kafka, topic, found.get(topic.name))]
    table = make_table("topic", "what is wrong")
    for topic, reason in wrong:
        add_row(table, bus.prefix + topic.name, reason)
    if wrong or format_ != "table":
        print_rows(format_, [{"topic": bus.prefix + topic.name, "problem": reason} for topic, reason in wrong], table)
    where = ", ".join(kafka.brokers)
    verdict = f"{len(wrong)} things are wrong with the topics" if wrong else "the topics are as they have to be"
    sys.stderr.write(f"{verdict} on {where}\n")
    return int(bool(wrong))


def mismatches(bus: BusSettings, kafka: KafkaBusSettings, topic: Topic, found: Found | None) -> Iterator[str]:
    """Say what of a topic is not as the table and the configuration have it, and what to do."""
    if found is None:
        yield "is not there: run `tracemend topics create`"
        return
    if found.partitions != bus.partition_count:
        yield (
            f"has {found.partitions} partitions and bus::partitions is {bus.partition_count}: state and order go by "
            "partition, so the number is for good; set bus::partitions to it, or begin under another bus::prefix"
        )
    if kafka.replication and found.replication != kafka.replication:
        yield f"has {found.replication} replicas and bus::kafka::replication is {kafka.replication}: reassign them"
    for name, wanted in settings_of(topic, found.replication).items():
        has = found.settings.get(name, "")
        if has != wanted:
            yield f"has {name}={has} instead of {wanted}: alter it with kafka-configs.sh"


async def _create(bus: BusSettings, kafka: KafkaBusSettings, wanted: Sequence[Topic]) -> Sequence[str]:
    topics = KafkaTopics(connection_of(bus, kafka))
    await topics.start()
    try:
        return await topics.create(wanted, bus.partition_count, kafka.replication)
    finally:
        await topics.close()


async def _found(bus: BusSettings, kafka: KafkaBusSettings, wanted: Sequence[Topic]) -> Mapping[str, Found]:
    topics = KafkaTopics(connection_of(bus, kafka))
    await topics.start()
    try:
        return await topics.describe(wanted)
    finally:
        await topics.close()


def _kafka_of(
    config: Sequence[Path], set_: Sequence[str], data_dir: Path | None
) -> tuple[BusSettings, KafkaBusSettings, Sequence[Topic]]:
    settings = load_settings(config, set_, data_dir)
    bus = settings.bus
    if bus.kafka is None:
        raise WrongUsage("the bus is the embedded one, which makes its topics by itself; see bus::kafka::brokers")
    return bus, bus.kafka, [*TOPICS, *(changelog_of(group) for group in (*GROUPS, *_configured_groups(settings)))]


def _configured_groups(settings: Settings) -> Iterator[str]:
    """List the groups with state that there are by this configuration only; webhooks keep none."""
    yield from (f"{DETECTORS}/{name}" for name in settings.service.groups)


def _row(bus: BusSettings, topic: Topic, found: Found | None) -> dict[str, Any]:
    there = found is not None
    row: dict[str, Any] = {"topic": bus.prefix + topic.name, "there": there}
    if found is not None:
        row |= {"partitions": found.partitions, "replication": found.replication}
        row |= {"settings": dict(found.settings), "wanted": settings_of(topic, found.replication)}
    return row


def _told(settings: Mapping[str, str]) -> tuple[str, str, str, str]:
    """Write settings as people read them."""
    retention = int(settings.get("retention.ms", "-1"))
    kept = "for good" if retention < 0 else f"{retention / 86_400_000:g} d"
    largest = f"{int(settings.get('max.message.bytes', '0')) / 2**20:g} MiB"
    return settings.get("cleanup.policy", ""), kept, largest, settings.get("message.timestamp.type", "")
