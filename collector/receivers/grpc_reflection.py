"""Reflection: what services the gRPC door has, for grpcurl and the like; off unless it is asked for.

It is public what OTLP is made of; still, a door says no more of itself than it has to.
"""

from __future__ import annotations

import importlib

import grpc

from collector.receivers.signals import SIGNALS

PACKAGE, MODULE = "grpcio-reflection", "grpc_reflection.v1alpha.reflection"


def check_reflection() -> None:
    """Refuse reflection where its package is missing; raises ValueError."""
    try:
        importlib.import_module(MODULE)
    except ImportError as error:
        raise ValueError(f"reflection needs the package {PACKAGE}: pip install {PACKAGE}") from error


def add_reflection(server: grpc.aio.Server) -> None:
    """Let a server tell its services."""
    reflection = importlib.import_module(MODULE)
    reflection.enable_server_reflection([*(signal.service for signal in SIGNALS), reflection.SERVICE_NAME], server)
