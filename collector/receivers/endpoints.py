"""Where a door is: a host and port, or a Unix socket, whose file is made, replaced and guarded here."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST_AND_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^:\s\[\]/]*):(\d{1,5})\Z")
UNIX = "unix://"
LONGEST_PATH_BYTES = 100
"""What fits into the kernel's address of a Unix socket, with room to spare."""
OWNER_ONLY = 0o077
PROBE_SECONDS = 1.0
HANDSHAKE_SECONDS = 10.0
"""How long a connection may take to begin: its TLS, and with gRPC its HTTP/2 settings."""


def check_endpoint(value: str) -> str:
    """Refuse what is neither `host:port` nor the path of a socket."""
    if value.startswith((UNIX, "/")):
        path = value.removeprefix(UNIX)
        if not path.startswith("/") or len(os.fsencode(path)) > LONGEST_PATH_BYTES:
            raise ValueError(f"{value!r} is no absolute path of up to {LONGEST_PATH_BYTES} bytes")
        return value
    found = HOST_AND_PORT.match(value)
    if found is None or int(found[2]) > 65_535:
        raise ValueError(f"{value!r} is not a host:port, nor unix:///the/path/of/a/socket")
    return value


def socket_path(endpoint: str) -> Path | None:
    """Give the path of a Unix socket; None for a host and port."""
    return Path(endpoint.removeprefix(UNIX)) if endpoint.startswith((UNIX, "/")) else None


def listen(endpoint: str, port: int, permissions: int) -> socket.socket:
    """Bind a socket, without listening yet; raises OSError where the address is taken."""
    path = socket_path(endpoint)
    if path is not None:
        with claimed(path, permissions):
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
        return listener
    host = endpoint.rpartition(":")[0]
    listener = socket.socket(socket.AF_INET6 if host.startswith("[") else socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host.strip("[]") or "0.0.0.0", port))  # noqa: S104  # ":4318" asks for all addresses
    return listener


@contextmanager
def claimed(path: Path, permissions: int) -> Iterator[None]:
    """Bind a socket's file within this: what a dead process left is removed, and nobody comes in before they may.

    Raises OSError where somebody listens there, or where the path is something else than a socket.
    """
    _remove_stale(path)
    before = os.umask(OWNER_ONLY)
    try:
        yield
    finally:
        os.umask(before)
    path.chmod(permissions)


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise FileExistsError(f"{path} is there and is no socket")
    if _is_served(path):
        raise FileExistsError(f"another process listens on {path}")
    path.unlink(missing_ok=True)


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True  # too many wait there, or it may not be looked at: somebody is there
    return True
