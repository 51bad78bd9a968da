"""The event loop under the doors and under the bus on Kafka: uvloop's where that is installed, asyncio's own elsewhere.

A receiver before Kafka takes up to a sixth less processor time a span on it (`bus/README.md` has the figures).
It is imported with the first loop: the command line has no use for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Make a loop. It is not to be carried over a fork."""
    try:
        import uvloop
    except ImportError:  # not on Windows, nor where nothing was built for the machine
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a program on a loop of its own, as `asyncio.run` does; returns what it returns, raises what it raises."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(main)
