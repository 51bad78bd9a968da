"""Says bytes to a door as they are and reads what comes back: HTTP/1 answers, and HTTP/2 frames with a gRPC call."""

from __future__ import annotations

import re
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress

ANSWER_SECONDS = 0.5
"""How long an answer is waited for; a request that is not whole gets none."""
END_SECONDS = 5.0
"""How long a door is given to end a connection on which nothing more is said."""
HEAD = re.compile(rb"HTTP/1\.[01] (\d{3}) [^\r\n]*\r\n(.*?)\r\n\r\n", re.DOTALL)
LENGTH = re.compile(rb"^content-length: (\d+)\r?$", re.IGNORECASE | re.MULTILINE)
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS = 0, 1, 4
END_STREAM, END_HEADERS = 1, 4


def connected(address: str) -> socket.socket:
    """Connect to a door."""
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=10)


def exchange(address: str, said: bytes, patience_seconds: float = ANSWER_SECONDS) -> bytes:
    """Say bytes and give all that comes back until there is an answer, silence, or the end."""
    heard = b""
    with connected(address) as connection, suppress(OSError):
        connection.sendall(said)
        connection.settimeout(patience_seconds)
        with suppress(TimeoutError):
            while (piece := connection.recv(65_536)) and not is_answered(heard := heard + piece):
                pass
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(END_SECONDS)
        while piece := connection.recv(65_536):
            heard += piece
    return heard


def is_answered(heard: bytes) -> bool:
    """Say whether a whole HTTP/1 answer has come, or the end of a gRPC call."""
    if b"grpc-status" in heard:
        return True
    found = HEAD.match(heard)
    if found is None or found[1] == b"100":
        return False
    length = LENGTH.search(found[2])
    return length is not None and len(heard) - found.end() >= int(length[1])


def statuses(heard: bytes) -> list[int]:
    """Read the statuses of HTTP/1 answers, without what stands in their bodies."""
    found, at = [], 0
    while (head := HEAD.match(heard, at)) is not None:
        found.append(int(head[1]))
        length = LENGTH.search(head[2])
        at = head.end() + (int(length[1]) if length is not None else 0)
    return found


def grpc_call(path: bytes, message: bytes, headers: Iterable[tuple[bytes, bytes]] = (), flag: int = 0) -> bytes:
    """Write a gRPC call as HTTP/2 frames, its length-prefixed message in one DATA frame or several."""
    fields = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"x"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        *headers,
    ]
    body = struct.pack(">BI", flag, len(message)) + message
    pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
    said = PREFACE + frame(SETTINGS, 0, 0, b"") + frame(HEADERS, END_HEADERS, 1, b"".join(map(literal, fields)))
    for piece in pieces[:-1]:
        said += frame(DATA, 0, 1, piece)
    return said + frame(DATA, END_STREAM, 1, pieces[-1])


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Write an HTTP/2 frame."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def literal(field: tuple[bytes, bytes]) -> bytes:
    """Write a header field without an index and without Huffman's code (RFC 7541, 6.2.2)."""
    return b"\x00" + b"".join(_text(one) for one in field)


def _text(text: bytes) -> bytes:
    length, prefix = len(text), b""
    if length < 127:
        return bytes([length]) + text
    length -= 127
    while length >= 128:
        prefix += bytes([length % 128 + 128])
        length //= 128
    return b"\x7f" + prefix + bytes([length]) + text
