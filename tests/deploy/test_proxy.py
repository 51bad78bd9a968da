"""The proxy of compose.tls.yaml, as a program: TLS outside, the doors as they are inside."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
import trustme
from demo_data import DemoPipeline
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub
from program_commands import DEPLOY
from recorded_requests import requests
from tools import built_by_go

pytestmark = [pytest.mark.exporters, pytest.mark.timeout(700)]  # the first one builds the proxy
START_SECONDS = 30


@dataclass(frozen=True)
class Proxy:
    """Where it listens, and whom its clients trust."""

    grpc: int
    http: int
    policies: int
    authority: bytes

    def get(self, port: int, path: str, method: str = "GET", body: bytes = b"") -> tuple[int, bytes]:
        """Ask over TLS."""
        context = ssl.create_default_context(cadata=self.authority.decode())
        connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=30)
        with closing(connection):
            connection.request(method, path, body, {"Content-Type": "application/x-protobuf"})
            response = connection.getresponse()
            return response.status, response.read()


@pytest.fixture(scope="module")
def proxy(demo: DemoPipeline, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("proxy")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    ports = [free_port() for _ in range(4)]
    running = Proxy(ports[0], ports[1], ports[2], authority.cert_pem.bytes())
    process = started(demo, folder, ports)
    try:
        wait_until_open(running.http)
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def started(demo: DemoPipeline, folder: Path, ports: list[int]) -> subprocess.Popen[bytes]:
    doors = demo.pipeline.info() or {}
    told = {
        "TLS_CERTIFICATE": str(folder / "certificate.pem"),
        "TLS_KEY": str(folder / "key.pem"),
        **dict(zip(("GRPC_PORT", "HTTP_PORT", "POLICIES_PORT", "GRAFANA_PORT"), map(str, ports), strict=True)),
        "GRPC_DOOR": doors["grpc"],
        "HTTP_DOOR": doors["http"],
        "POLICIES": doors["metrics"],
        "XDG_DATA_HOME": str(folder),
        "XDG_CONFIG_HOME": str(folder),
    }
    command = [built_by_go("caddy"), "run", "--adapter", "caddyfile", "--config", str(DEPLOY / "proxy" / "Caddyfile")]
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(command, env={**os.environ, **told}, stdout=log, stderr=log, start_new_session=True)


def free_port() -> int:
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def wait_until_open(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with closing(socket.socket()) as tried:
            if tried.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nobody listens on {port}")


def test_a_grpc_exporter_gets_through(proxy: Proxy) -> None:
    credentials = grpc.ssl_channel_credentials(proxy.authority)
    with grpc.secure_channel(f"localhost:{proxy.grpc}", credentials) as channel:
        (body,) = requests(seed=1, count=1)
        stub = TraceServiceStub(channel)  # type: ignore[no-untyped-call]
        answer = stub.Export(ExportTraceServiceRequest.FromString(body), timeout=30)
    assert answer.partial_success.rejected_spans == 0


def test_an_http_exporter_gets_through_and_hears_what_is_wrong(proxy: Proxy) -> None:
    (body,) = requests(seed=2, count=1)
    assert proxy.get(proxy.http, "/v1/traces", "POST", body)[0] == 200
    assert proxy.get(proxy.http, "/v1/traces", "POST", b"\xff no request")[0] == 400


def test_guards_get_their_policies_and_nobody_gets_the_metrics(proxy: Proxy) -> None:
    assert proxy.get(proxy.policies, "/v1/policies/claude-code/claude-code")[0] == 200
    assert proxy.get(proxy.policies, "/metrics")[0] == 404


def test_without_tls_nobody_gets_in(proxy: Proxy) -> None:
    with closing(http.client.HTTPConnection("localhost", proxy.http, timeout=10)) as plain:
        plain.request("POST", "/v1/traces", b"")
        assert plain.getresponse().status == 400
