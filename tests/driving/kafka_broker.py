"""A real Kafka broker for tests: one that is there already, one in a container, or Apache Kafka's jars on this Java.

`TRACEMEND_TEST_KAFKA` names bootstrap servers to use instead. The jars run as KRaft does: one process that is broker
and controller, on free ports, with its log in a folder of its own.
"""

from __future__ import annotations

import base64
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Protocol

import trustme
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from faulty_link import FaultyLink
from kafka_jars import NoBroker, kafka_jars

START_SECONDS = 90.0
USER, PASSWORD = "tracemend", "open-sesame"
"""Who is let in by the door that asks."""
LOGIN = "org.apache.kafka.common.security"
JAVA = ("java", "-Xmx512m", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secured},FAR://127.0.0.1:{far},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SASL_SSL://127.0.0.1:{secured},FAR://127.0.0.1:{wire}
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={plain} required user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={scram} required;
ssl.keystore.type=PEM
ssl.keystore.location={folder}/keystore.pem
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/log
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
num.network.threads=2
num.io.threads=4
"""


class Broker(Protocol):
    """A broker that runs."""

    bootstrap: str

    def close(self) -> None:
        """Stop it, if it was started here."""


class GivenBroker:
    """A broker that somebody else runs."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap

    def close(self) -> None:
        """Leave it as it is."""


class ContainerBroker:
    """A broker in a container; raises NoBroker where there is no Docker engine."""

    def __init__(self) -> None:
        try:
            from testcontainers.community.kafka import KafkaContainer

            self._container = KafkaContainer("apache/kafka:4.1.0").with_kraft()
            self._container.start()
        except Exception as error:  # docker's client raises whatever its parts do
            raise NoBroker(f"no Docker engine answers ({type(error).__name__})") from error
        self.bootstrap = str(self._container.get_bootstrap_server())

    def close(self) -> None:
        """Remove the container."""
        self._container.stop()


class JavaBroker:
    """Apache Kafka from its jars, in a folder; it dies with this process.

    Beside the open door at `bootstrap` it has one at `secured`, with TLS by `authority` (a file) and a password,
    and one at `far`, behind a wire (`link`) that may fail.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._classpath = f"{kafka_jars()}/*"
        self._port, secured, controller, far = _free_port(), _free_port(), _free_port(), _free_port()
        self.link = FaultyLink("127.0.0.1", far)
        self.bootstrap, self.secured = f"127.0.0.1:{self._port}", f"127.0.0.1:{secured}"
        self.far = f"127.0.0.1:{self.link.port}"
        self.authority = _make_certificate(folder)
        self._properties = folder / "server.properties"
        self._properties.write_text(
            PROPERTIES.format(
                port=self._port,
                secured=secured,
                far=far,
                wire=self.link.port,
                controller=controller,
                folder=folder,
                user=USER,
                password=PASSWORD,
                plain=f"{LOGIN}.plain.PlainLoginModule",
                scram=f"{LOGIN}.scram.ScramLoginModule",
            )
        )
        credentials = f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]"
        format_ = ("format", "--standalone", "-t", _cluster_id(), "-c", self._properties, "--add-scram", credentials)
        self._run("kafka.tools.StorageTool", *format_)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it, and wait until it listens."""
        with (self._folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*JAVA, "-cp", self._classpath, "kafka.Kafka", str(self._properties)],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_us,  # noqa: PLW1509  # it only asks the kernel for a signal
            )
        deadline = time.monotonic() + START_SECONDS
        while not _listens(self._port):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.close()
                raise NoBroker(f"Kafka did not start: {(self._folder / 'broker.log').read_text()[-600:]}")
            time.sleep(0.1)

    def kill(self) -> None:
        """Kill it as the kernel would; `start` brings it back with what was on its disk."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Stop it for good."""
        self.link.unplug()
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()

    def _run(self, program: str, *arguments: object) -> None:
        command = [*JAVA, "-cp", self._classpath, program, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=START_SECONDS, check=False)
        if done.returncode:
            raise NoBroker(f"{program} failed: {(done.stderr or done.stdout)[-400:]}")


def open_broker(folder: Path) -> Broker:
    """Give a broker in the order named above; raises NoBroker with the reason of each way that failed."""
    given = os.environ.get("TRACEMEND_TEST_KAFKA")
    if given:
        return GivenBroker(given)
    try:
        return ContainerBroker()
    except NoBroker as no_container:
        try:
            return JavaBroker(folder)
        except NoBroker as no_jars:
            raise NoBroker(f"{no_container}; {no_jars}") from no_jars


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _cluster_id() -> str:
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


def _make_certificate(folder: Path) -> Path:
    """Make an authority and a certificate of this machine; returns the authority's file."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    readable = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())  # the only form that Java reads
    chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
    (folder / "keystore.pem").write_bytes(readable + chain)
    authority.cert_pem.write_to_path(str(folder / "authority.pem"))
    return folder / "authority.pem"


def _die_with_us() -> None:
    """Have the kernel kill the broker with the tests, however they end."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
