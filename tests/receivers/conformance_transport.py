"""The conformance table of what lies under both protocols: TLS, certificates of clients, Unix sockets."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import grpc
import trustme
from conformance_requests import EXPORT, Act, Seen
from conformance_row import Row
from open_doors import OpenDoors, request
from tls_clients import Files, opened, over_grpc, over_http, post, soon
from unix_clients import post as post_by_socket

CONFIGTLS, CONFIGNET = "Collector: configtls", "Collector: confignet"


def _in_folder(act: Callable[[Path], Seen]) -> Act:
    def run(_doors: OpenDoors) -> Seen:
        with tempfile.TemporaryDirectory(prefix="tm-") as folder:
            return act(Path(folder))

    return Act(run)


def _tls(folder: Path) -> Seen:
    files = Files(folder)
    doors = opened(folder, files)
    try:
        return {"http": post(over_http(doors, files.authority)), "grpc": over_grpc(doors, files.authority)}
    finally:
        doors.close()


def _client_certificates(folder: Path) -> Seen:
    files, clients = Files(folder), trustme.CA()
    files.trust_clients_of(clients)
    doors = opened(folder, files)
    proper = clients.issue_cert("agent")
    try:
        return {
            "with": [post(over_http(doors, files.authority, proper)), over_grpc(doors, files.authority, proper)],
            "without": [
                _fails(lambda: post(over_http(doors, files.authority))),
                _fails(lambda: over_grpc(doors, files.authority)),
            ],
        }
    finally:
        doors.close()


def _reload(folder: Path) -> Seen:
    files = Files(folder)
    doors = opened(folder, files)
    old = over_http(doors, files.authority)
    try:
        before = post(old)
        files.authority = trustme.CA()
        files.renew()
        fresh = soon(lambda: post(over_http(doors, files.authority)) == 200)
        fresh_call = soon(lambda: over_grpc(doors, files.authority) == b"")
        return {"old connection": [before, post(old)], "new connections": [fresh, fresh_call]}
    finally:
        doors.close()


def _unix(folder: Path) -> Seen:
    by_grpc, by_http = folder / "grpc.sock", folder / "http.sock"
    doors = OpenDoors(
        folder / "bus", grpc={"endpoint": f"unix://{by_grpc}"}, http={"endpoint": str(by_http), "transport": "unix"}
    )
    try:
        with grpc.insecure_channel(f"unix:{by_grpc}") as channel:
            call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
            answers = [post_by_socket(by_http), call(request(), timeout=10)]
        return {"answers": answers, "modes": [oct(path.stat().st_mode & 0o777) for path in (by_grpc, by_http)]}
    finally:
        doors.close()


def _fails(act: Callable[[], object]) -> bool:
    try:
        act()
    except (OSError, grpc.RpcError):
        return True
    return False


ROWS = [
    Row("both", "TLS", CONFIGTLS, _in_folder(_tls), {"http": 200, "grpc": b""}),
    Row(
        "both",
        "certificates of clients",
        f"{CONFIGTLS} client_ca_file",
        _in_folder(_client_certificates),
        {"with": [200, b""], "without": [True, True]},
    ),
    Row(
        "both",
        "certificates that change",
        f"{CONFIGTLS} reload_interval",
        _in_folder(_reload),
        {"old connection": [200, 200], "new connections": [True, True]},
    ),
    Row(
        "both",
        "Unix sockets, for their owner alone",
        f"{CONFIGNET} transport: unix",
        _in_folder(_unix),
        {"answers": [200, b""], "modes": ["0o600", "0o600"]},
    ),
]
