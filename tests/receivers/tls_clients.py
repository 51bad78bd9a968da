"""Certificates for doors and clients, and clients that speak TLS."""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import trustme
from open_doors import OpenDoors, request

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
PROTOBUF = {"Content-Type": "application/x-protobuf"}


class Files:
    """An authority, and the files of a door's certificate that it issued."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.folder = folder
        self.config: dict[str, Any] = {
            "cert_file": folder / "cert.pem",
            "key_file": folder / "key.pem",
            "reload_interval": "50ms",
        }
        self.renew()

    def renew(self) -> None:
        """Issue another certificate, by the authority as it is now."""
        issued = self.authority.issue_cert("127.0.0.1", "localhost")
        (self.folder / "key.pem").write_bytes(issued.private_key_pem.bytes())
        (self.folder / "cert.pem").write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))

    def trust_clients_of(self, authority: trustme.CA) -> None:
        """Ask clients for certificates of an authority."""
        authority.cert_pem.write_to_path(self.folder / "clients.pem")
        self.config["client_ca_file"] = self.folder / "clients.pem"


def opened(tmp_path: Path, files: Files) -> OpenDoors:
    """Open doors with TLS."""
    return OpenDoors(tmp_path / "bus", grpc={"tls": files.config}, http={"tls": files.config})


def over_http(doors: OpenDoors, authority: trustme.CA, client: trustme.LeafCert | None = None) -> Any:
    """Connect to the HTTP door."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if client is not None:
        client.configure_cert(context)
    return http.client.HTTPSConnection(doors.http, context=context, timeout=10)


def post(connection: Any) -> int:
    """Send two spans over a connection; gives the status."""
    connection.request("POST", "/v1/traces", request(), PROTOBUF)
    response = connection.getresponse()
    response.read()
    return int(response.status)


def over_grpc(doors: OpenDoors, authority: trustme.CA, client: trustme.LeafCert | None = None) -> bytes:
    """Send two spans to the gRPC door; gives the answer."""
    pair = (client.private_key_pem.bytes(), client.cert_chain_pems[0].bytes()) if client is not None else (None, None)
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), *pair)
    with grpc.secure_channel(doors.grpc, credentials) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        return bytes(call(request(), timeout=3))


def soon(true: Callable[[], bool]) -> bool:
    """Say whether something becomes true within ten seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            if true():
                return True
        except (OSError, grpc.RpcError):
            time.sleep(0.05)
    return False
