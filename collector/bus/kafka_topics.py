"""Topics and groups of a Kafka cluster, asked and made through its admin API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from aiokafka import errors
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from collector.bus.kafka_connection import KafkaConnection
from collector.bus.kafka_errors import sorted_error
from collector.bus.kafka_first_contact import reason_for
from collector.bus.protocol import BusUnavailable
from schemas.topics import Topic

Place = tuple[str, int]
SETTINGS = ("cleanup.policy", "retention.ms", "max.message.bytes", "message.timestamp.type", "min.insync.replicas")
"""What is said of each topic beside its partitions and replicas."""

MOST_REPLICAS = 3
"""How many replicas a topic has where the configuration does not say, and there are brokers for them."""
ASK_SECONDS, ASK_AGAIN_SECONDS = 20.0, 0.05
"""How long a cluster that is still settling is asked again."""


class Found(NamedTuple):
    """A topic as it is on the broker. `settings` has the values of `SETTINGS`."""

    partitions: int
    replication: int
    settings: Mapping[str, str]


class Committed(NamedTuple):
    """Where a group goes on in a partition, and the append time of what it read there last."""

    offset: int
    append_ns: int


def settings_of(topic: Topic, replication: int) -> dict[str, str]:
    """Give a topic's settings on Kafka. Append times are the broker's, so that they are one clock's.

    What is acknowledged is on all replicas but one at least: one broker may be away, and one more be lost.
    """
    return {
        "cleanup.policy": "compact" if topic.compacted else "delete",
        "retention.ms": "-1" if topic.compacted else str(topic.retention_seconds * 1000),
        "max.message.bytes": str(topic.max_message_bytes),
        "message.timestamp.type": "LogAppendTime",
        "min.insync.replicas": str(max(1, replication - 1)),
    }


class KafkaTopics:
    """Asks a cluster. Lives on one event loop."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._admin: AIOKafkaAdminClient | None = None

    async def start(self) -> None:
        """Connect; raises BusUnavailable."""
        admin = AIOKafkaAdminClient(request_timeout_ms=15_000, **self._connection.options())
        try:
            await admin.start()
        except Exception as error:
            await admin.close()
            found = await reason_for(error, self._connection)
            raise sorted_error(found, f"connecting to Kafka on {self._connection.brokers}") from error
        self._admin = admin

    async def close(self) -> None:
        """Disconnect."""
        if self._admin is not None:
            await self._admin.close()

    async def partitions(self) -> Mapping[str, int]:
        """Say how many partitions each topic of this prefix has; no topic is made by asking."""
        found = await self._ask("listing topics", lambda admin: admin.describe_topics())
        return {self._here(topic): len(topic["partitions"]) for topic in found if self._ours(topic)}

    async def describe(self, topics: Iterable[Topic]) -> Mapping[str, Found]:
        """Say how these topics are; those that are missing are left out."""
        wanted = {self._connection.on_broker(topic.name) for topic in topics}
        found = await self._ask("listing topics", lambda admin: admin.describe_topics())
        there = [topic for topic in found if topic["topic"] in wanted]
        settings = await self._settings([topic["topic"] for topic in there])
        return {
            self._here(topic): Found(
                len(topic["partitions"]),
                min((len(part["replicas"]) for part in topic["partitions"]), default=0),
                settings.get(topic["topic"], {}),
            )
            for topic in there
        }

    async def create(self, topics: Sequence[Topic], partitions: int, replication: int) -> Sequence[str]:
        """Make topics; returns the names of those that were not there. `replication` 0: 3, or as many as may be."""
        replicas = replication or await self._sensible_replication()
        new = [
            NewTopic(
                self._connection.on_broker(topic.name), partitions, replicas, topic_configs=settings_of(topic, replicas)
            )
            for topic in topics
        ]
        answer = await self._ask("creating topics", lambda admin: admin.create_topics(new))
        made: list[str] = []
        for name, code, *said in answer.topic_errors:
            if code == 0:
                made.append(self._connection.here(name))
            elif code != errors.TopicAlreadyExistsError.errno:
                reason = said[0] if said and said[0] else errors.for_code(code).__name__
                raise BusUnavailable(f"the topic {name} cannot be created: {reason}")
        await self._until_there({topic.name for topic in topics})
        return made

    async def _sensible_replication(self) -> int:
        cluster = await self._ask("counting brokers", lambda admin: admin.describe_cluster())
        return min(MOST_REPLICAS, len(cluster["brokers"]))

    async def _until_there(self, names: Collection[str]) -> None:
        """Wait until a broker that is asked knows topics that were just made."""
        deadline = time.monotonic() + ASK_SECONDS
        while (missing := set(names) - set(await self.partitions())) and time.monotonic() < deadline:
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        if missing:
            raise BusUnavailable(f"the topics {', '.join(sorted(missing))} were created, and are still not there")

    async def committed(self, group: str, places: Sequence[Place]) -> Mapping[Place, Committed]:
        """Say where a group goes on; partitions where it has committed nothing are left out."""
        wanted = [TopicPartition(self._connection.on_broker(topic), part) for topic, part in places]
        name = self._connection.on_broker(group)
        found = await self._ask(
            f"reading the offsets of {name}",
            lambda admin: admin.list_consumer_group_offsets(name, partitions=wanted),
        )
        return {
            (self._connection.here(place.topic), place.partition): _committed(at)
            for place, at in found.items()
            if at.offset >= 0
        }

    async def _ask(self, doing: str, ask: Callable[[AIOKafkaAdminClient], Awaitable[Any]]) -> Any:
        """Ask, and again for a while where the cluster says that it will know soon."""
        if self._admin is None:
            raise BusUnavailable(f"{doing}: there is no connection to Kafka")
        deadline = time.monotonic() + ASK_SECONDS
        while True:
            try:
                return await ask(self._admin)
            except Exception as error:
                if not _will_know_soon(error) or time.monotonic() > deadline:
                    raise sorted_error(error, doing) from error
            await asyncio.sleep(ASK_AGAIN_SECONDS)

    async def _settings(self, names: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
        if not names:
            return {}
        wanted = dict.fromkeys(SETTINGS, "")
        asked = [ConfigResource(ConfigResourceType.TOPIC, name, wanted) for name in names]
        found: dict[str, dict[str, str]] = {}
        for answer in await self._ask("describing topics", lambda admin: admin.describe_configs(asked)):
            for code, said, _, name, entries in answer.resources:
                if code:
                    raise BusUnavailable(f"the settings of {name} cannot be read: {said or errors.for_code(code)}")
                found[name] = {entry[0]: entry[1] for entry in entries}
        return found

    def _ours(self, topic: Mapping[str, str]) -> bool:
        return topic["topic"].startswith(self._connection.prefix)

    def _here(self, topic: Mapping[str, str]) -> str:
        return self._connection.here(topic["topic"])


def _will_know_soon(error: Exception) -> bool:
    return isinstance(error, errors.KafkaError) and error.retriable


def _committed(at: OffsetAndMetadata) -> Committed:
    return Committed(at.offset, int(at.metadata) if at.metadata.isdecimal() else 0)
