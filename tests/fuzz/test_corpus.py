"""Inputs that once went wrong, one by one, without a fuzzer; and what fuzzing starts from."""

from __future__ import annotations

import time
from pathlib import Path

import grpc
import pytest
from open_doors import OpenDoors, request
from raw_exchange import exchange
from seeds import corpus, seeds
from targets import TARGETS

from collector.receivers.signals import TRACES

EXPORT = f"/{TRACES.service}/Export"
AGAIN = (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
ONCE_WRONG = [(name, file) for name in (*TARGETS, "grpc_door") for file in corpus(name)]


@pytest.mark.parametrize(("name", "file"), ONCE_WRONG, ids=[f"{name}/{file.name}" for name, file in ONCE_WRONG])
def test_what_once_went_wrong_goes_right(name: str, file: Path, tmp_path: Path) -> None:
    if name in TARGETS:
        TARGETS[name](file.read_bytes())
    else:
        door_outlives(file.read_bytes(), tmp_path)


def door_outlives(said: bytes, folder: Path) -> None:
    doors = OpenDoors(folder)
    try:
        exchange(doors.grpc, said)
        export_as_exporters_do(doors.grpc)
    finally:
        doors.close()


def export_as_exporters_do(endpoint: str) -> None:
    """Export; a call that meets a server on its way out is cancelled, which OTLP has its clients send again."""
    until = time.monotonic() + 10
    with grpc.insecure_channel(endpoint) as channel:
        call = channel.unary_unary(EXPORT, request_serializer=bytes, response_deserializer=bytes)
        while True:
            try:
                call(request(), timeout=10, wait_for_ready=True)
            except grpc.RpcError as refused:
                if refused.code() not in AGAIN or time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return


@pytest.mark.parametrize("name", TARGETS)
def test_what_fuzzing_starts_from_goes_right(name: str) -> None:
    started = [TARGETS[name](seed) for seed in seeds(name)]
    assert started
