"""Doors that others than this machine can reach: they need keys, certificates of clients, or a plain word."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from collector.receivers.endpoints import socket_path
from config.problems import Path
from config.settings import Settings

PROTOCOLS = ("grpc", "http")
OPEN = (
    "{endpoint} can be reached from other machines, and no API keys are configured: add some under "
    "extensions::api_keys (`tracemend keys new` makes one), or set {door}::allow_unauthenticated to true"
)


def exposed_doors(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Find doors that anybody on the network could use: their path in the configuration, and what to do."""
    api_keys = settings.extensions.get("api_keys")
    if api_keys is not None and api_keys.keys:
        return
    for path, door in _doors(settings):
        if not (is_local(door.endpoint) or door.allow_unauthenticated or _asks_for_certificates(door)):
            yield (*path, "endpoint"), OPEN.format(endpoint=door.endpoint, door="::".join(path))


def is_local(endpoint: str) -> bool:
    """Say whether only this machine reaches an address; no host at all means every address."""
    if socket_path(endpoint) is not None:
        return True
    host = endpoint.rpartition(":")[0].strip("[]").lower()
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _doors(settings: Settings) -> Iterator[tuple[Path, Any]]:
    for name, receiver in settings.receivers.items():
        for protocol in PROTOCOLS:
            door = getattr(receiver.protocols, protocol)
            if door is not None:
                yield ("receivers", name, "protocols", protocol), door
    yield ("service", "telemetry", "metrics"), settings.service.telemetry.metrics


def _asks_for_certificates(door: Any) -> bool:
    tls = getattr(door, "tls", None)
    return tls is not None and bool(tls.client_ca_file)
