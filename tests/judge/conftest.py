"""A server that speaks the Messages API, and the judge in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from courtroom import Courtroom
from messages_server import MessagesServer, always


@pytest.fixture
def api() -> Iterator[MessagesServer]:
    server = MessagesServer(always("no", 0.9))
    yield server
    server.close()


@pytest.fixture
def court(tmp_path: Path, api: MessagesServer) -> Iterator[Callable[..., Courtroom]]:
    opened: list[Courtroom] = []

    def open_court(**settings: Any) -> Courtroom:
        opened.append(Courtroom(tmp_path / f"court{len(opened)}", api.url, **settings))
        return opened[-1]

    yield open_court
    for one in opened:
        one.close()
