"""TLS and SASL to a real broker, as the configuration has them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from bus_contract import read_all, records
from kafka_broker import PASSWORD, USER, Broker, JavaBroker
from kafka_buses import make_topics

from collector.bus.dead_letters import dead_letter
from collector.bus.letters import letters
from collector.bus.protocol import BusUnavailable
from collector.cli.configuration import load_settings
from collector.opened_bus import connection_of, open_bus
from config.settings import Settings


@pytest.fixture
def secured(kafka: Broker) -> JavaBroker:
    if not isinstance(kafka, JavaBroker):
        pytest.skip("the broker that is used has no door with TLS and passwords that tests know of")
    return kafka


def settings(broker: JavaBroker, prefix: str, sasl: str, authority: str, data_dir: Path) -> Settings:
    chosen: Sequence[str] = [
        f"bus::kafka::brokers={broker.secured}",
        f"bus::kafka::sasl={sasl}",
        f"bus::kafka::tls::ca_file={authority}",
        f"bus::prefix={prefix}",
        "bus::partitions=1",
        "bus::kafka::replication=1",
    ]
    return load_settings([], chosen, data_dir)


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_who_knows_the_password_is_let_in(
    secured: JavaBroker, topic_prefix: str, tmp_path: Path, mechanism: str
) -> None:
    sasl = f"{{mechanism: {mechanism}, username: {USER}, password: {PASSWORD}}}"
    made = settings(secured, topic_prefix, sasl, str(secured.authority), tmp_path)
    assert made.bus.kafka is not None
    make_topics(connection_of(made.bus, made.bus.kafka))
    bus = open_bus(made)
    bus.publish(records(b"over TLS")).result(20)
    assert read_all(bus, "g") == [b"over TLS"]
    bus.close()


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-512"])
def test_an_application_is_let_in_too(secured: JavaBroker, topic_prefix: str, tmp_path: Path, mechanism: str) -> None:
    sasl = f"{{mechanism: {mechanism}, username: {USER}, password: {PASSWORD}}}"
    made = settings(secured, topic_prefix, sasl, str(secured.authority), tmp_path)
    assert made.bus.kafka is not None
    make_topics(connection_of(made.bus, made.bus.kafka))
    bus = open_bus(made)
    (sent,) = records(b"over TLS")
    bus.publish([sent]).result(20)
    tasks = bus.tasks("g", [sent.topic], at_least_once=True)
    while tasks.mine() is None:
        time.sleep(0.05)
    consumer = tasks.begin([0])[0]
    (record,) = consumer.poll(timeout_seconds=20.0).records
    consumer.commit([dead_letter(record, ValueError("not that"), "g")])
    consumer.close()
    tasks.close()
    assert (record.value, [letter.record.value for letter in letters(bus, 2.0)]) == (b"over TLS", [b"over TLS"])
    bus.close()


@pytest.mark.parametrize(
    ("password", "authority", "said"),
    [("wrong", True, "check the user, its rights and the secret"), (PASSWORD, False, "certificate verify failed")],
)
def test_who_does_not_or_meets_somebody_else_is_told(
    secured: JavaBroker, topic_prefix: str, tmp_path: Path, password: str, authority: bool, said: str
) -> None:
    sasl = f"{{mechanism: PLAIN, username: {USER}, password: {password}}}"
    trusted = str(secured.authority) if authority else ""
    with pytest.raises(BusUnavailable) as refused:
        open_bus(settings(secured, topic_prefix, sasl, trusted, tmp_path))
    assert said in str(refused.value)
    assert password not in str(refused.value)


def test_certificates_that_cannot_be_read_are_told(secured: JavaBroker, topic_prefix: str, tmp_path: Path) -> None:
    sasl = f"{{username: {USER}, password: {PASSWORD}}}"
    with pytest.raises(BusUnavailable, match="bus::kafka::tls: the certificates cannot be read"):
        open_bus(settings(secured, topic_prefix, sasl, str(tmp_path / "nothing.pem"), tmp_path))
