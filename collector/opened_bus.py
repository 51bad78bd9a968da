"""Opens the bus that is configured."""

from __future__ import annotations

import ssl
from collections.abc import Collection
from typing import TYPE_CHECKING

from collector.bus.embedded import EmbeddedBus
from collector.bus.protocol import Bus, BusUnavailable
from config.settings import BusSettings, EmbeddedBusSettings, KafkaBusSettings, KafkaTlsSettings, Settings

if TYPE_CHECKING:
    from collector.bus.kafka_connection import KafkaConnection

QUEUE_BYTES = 64 * 1024 * 1024


def open_bus(settings: Settings, readers: Collection[str] | None = None, queue_bytes: int = QUEUE_BYTES) -> Bus:
    """Open the bus, embedded or Kafka's; raises BusUnavailable with what to do.

    `readers` and `queue_bytes` are for the embedded one: the groups retention waits for, and what may wait for its
    writer.
    """
    bus = settings.bus
    if bus.kafka is not None:
        from collector.bus.kafka import KafkaBus

        return KafkaBus(
            connection_of(bus, bus.kafka), replication=bus.kafka.replication, readers=_readers_of_spans(settings)
        )
    embedded = bus.embedded or EmbeddedBusSettings()
    folder = settings.service.data_dir / "bus"
    return EmbeddedBus(
        folder,
        bus.partition_count,
        embedded.fsync,
        embedded.max_bytes,
        queue_bytes,
        prefix=bus.prefix,
        readers=readers,
    )


def _readers_of_spans(settings: Settings) -> Collection[str]:
    """List the groups that read what senders bring."""
    return ("normaliser", "sinks/clickhouse") if settings.sinks else ("normaliser",)


def connection_of(bus: BusSettings, kafka: KafkaBusSettings) -> KafkaConnection:
    """Say how a cluster is reached; raises BusUnavailable where certificates cannot be read."""
    from collector.bus.kafka_connection import KafkaConnection

    sasl = kafka.sasl
    protocol = ("SASL_" if sasl is not None else "") + ("SSL" if kafka.tls is not None else "PLAINTEXT")
    return KafkaConnection(
        brokers=",".join(kafka.brokers),
        prefix=bus.prefix,
        security_protocol=protocol,
        ssl_context=_context(kafka.tls) if kafka.tls is not None else None,
        sasl_mechanism=sasl.mechanism if sasl is not None else "PLAIN",
        sasl_username=sasl.username if sasl is not None else None,
        sasl_password=sasl.password.get_secret_value() if sasl is not None else None,
        session_seconds=kafka.session_timeout_seconds,
        instance_id=kafka.instance_id or None,
    )


def _context(tls: KafkaTlsSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=tls.ca_file or None)
        if tls.cert_file:
            context.load_cert_chain(tls.cert_file, tls.key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise BusUnavailable(f"bus::kafka::tls: the certificates cannot be read ({error}): check its files") from error
    return context
