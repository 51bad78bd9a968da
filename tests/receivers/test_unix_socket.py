"""Both doors on Unix sockets: who may open the file, and what becomes of one that a dead process left."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import grpc
import pytest
from open_doors import OpenDoors, request
from pydantic import ValidationError
from unix_clients import post

from collector.receivers.endpoints import claimed
from collector.receivers.otlp_config import HttpConfig

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


def stale(path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()


def test_both_doors_open_on_sockets_for_their_owner_alone_also_where_a_dead_process_left_one(tmp_path: Path) -> None:
    by_grpc, by_http = tmp_path / "grpc.sock", tmp_path / "http.sock"
    stale(by_grpc)
    stale(by_http)
    doors = OpenDoors(
        tmp_path / "bus",
        grpc={"endpoint": f"unix://{by_grpc}"},
        http={"endpoint": str(by_http), "transport": "unix", "socket_permissions": "0660"},
    )
    try:
        assert (doors.grpc, doors.http) == (f"unix://{by_grpc}", f"unix://{by_http}")
        assert [path.stat().st_mode & 0o777 for path in (by_grpc, by_http)] == [0o600, 0o660]
        assert post(by_http) == 200
        with grpc.insecure_channel(f"unix:{by_grpc}") as channel:
            channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)(request(), timeout=10)
        assert len(doors.stored()) == 2
    finally:
        doors.close()
    assert not by_http.exists()


def test_a_socket_on_which_somebody_listens_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "served.sock"
    with socket.socket(socket.AF_UNIX) as served:
        served.bind(str(path))
        served.listen()
        with pytest.raises(FileExistsError, match="another process listens"), claimed(path, 0o600):
            pytest.fail("it was taken")
    assert path.exists()


def test_a_file_that_is_no_socket_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(FileExistsError, match="no socket"), claimed(path, 0o600):
        pytest.fail("it was taken")
    assert path.read_text() == "data"


def test_the_file_is_never_open_to_others_before_its_permissions_are_set(tmp_path: Path) -> None:
    path = tmp_path / "new.sock"
    before = os.umask(0)
    try:
        with claimed(path, 0o660):
            stale(path)
            assert path.stat().st_mode & 0o077 == 0
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o660


@pytest.mark.parametrize(
    ("endpoint", "transport", "says"),
    [
        ("127.0.0.1:4318", "unix", "needs a path"),
        ("/run/x.sock", "tcp", "set transport to unix"),
        ("unix://x.sock", "tcp", "no absolute path"),
        (f"unix:///{'x' * 200}", "tcp", "no absolute path"),
    ],
)
def test_an_endpoint_that_cannot_work_is_a_mistake_in_the_configuration(
    endpoint: str, transport: str, says: str
) -> None:
    with pytest.raises(ValidationError, match=says):
        HttpConfig.model_validate({"endpoint": endpoint, "transport": transport})
