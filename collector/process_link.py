"""What a process of a pipeline and its supervisor say to each other, over a pair of sockets only they have.

The first message is what the process is to do, pickled: it comes from the program that started it, over a descriptor
nobody else holds. All others are msgpack. When one of the two dies the other one reads the end of the stream.
"""

from __future__ import annotations

import asyncio
import pickle
import socket
from typing import Any, NamedTuple

import msgspec

from collector.memory_shares import MemoryShares
from config.settings import Settings

LENGTH_BYTES = 4
REPORT, DRAIN = "report", "drain"


class Assignment(NamedTuple):
    """What a process is to do: the settings as its supervisor read them, its roles, its memory, and who started it."""

    settings: Settings
    roles: tuple[str, ...]
    memory: MemoryShares
    supervisor: int


class Family(msgspec.Struct, array_like=True):
    """One metric of a process: its samples as (name, labels, value)."""

    name: str
    documentation: str
    type: str
    samples: list[tuple[str, dict[str, str], float]]


class Report(msgspec.Struct):
    """How a process is. `failure` is why it cannot go on, and the last thing it says."""

    ready: bool = False
    failure: str = ""
    components: dict[str, dict[str, str]] = {}
    doors: dict[str, str] = {}
    families: list[Family] = []
    answers: int = 0
    """How many requests for a report it has answered."""


class Ask(msgspec.Struct):
    """What a supervisor wants: a report now, or that the process drains and ends within `seconds`."""

    what: str
    seconds: float = 0.0


class Link:
    """One end. `receive` raises `asyncio.IncompleteReadError` when the other one is gone."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Link:
        """Take one end of a pair of sockets."""
        end.setblocking(False)  # noqa: FBT003  # the standard library's
        return cls(*await asyncio.open_connection(sock=end))

    async def assign(self, assignment: Assignment) -> None:
        """Say what to do."""
        await self._send(pickle.dumps(assignment))

    async def assigned(self) -> Assignment:
        """Learn what to do."""
        assignment: Assignment = pickle.loads(await self._receive())  # noqa: S301  # from who started us
        return assignment

    async def tell(self, message: Report | Ask) -> None:
        """Send a message; raises OSError when the other one is gone."""
        await self._send(msgspec.msgpack.encode(message))

    async def hear(self, kind: type[Any]) -> Any:
        """Wait for a message of one kind."""
        return msgspec.msgpack.decode(await self._receive(), type=kind)

    def close(self) -> None:
        """Let go."""
        self._writer.close()

    async def _send(self, body: bytes) -> None:
        self._writer.write(len(body).to_bytes(LENGTH_BYTES, "big") + body)
        await self._writer.drain()

    async def _receive(self) -> bytes:
        length = int.from_bytes(await self._reader.readexactly(LENGTH_BYTES), "big")
        return await self._reader.readexactly(length)
