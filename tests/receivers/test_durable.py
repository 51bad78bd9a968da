"""A request waits for the bus, for its time, and takes nothing back."""

from __future__ import annotations

import asyncio
import logging
import threading
from concurrent.futures import Future

import pytest

from collector.bus.protocol import BusUnavailable
from collector.receivers.durable import until_durable

LONG, SHORT = 30.0, 0.01


def test_what_another_thread_says_is_what_the_waiter_hears() -> None:
    async def wait() -> None:
        kept: Future[None] = Future()
        threading.Timer(SHORT, kept.set_result, (None,)).start()
        await until_durable(kept, LONG)
        refused: Future[None] = Future()
        threading.Timer(SHORT, refused.set_exception, (BusUnavailable("full", 2.0),)).start()
        with pytest.raises(BusUnavailable, match="full"):
            await until_durable(refused, LONG)

    asyncio.run(wait())


def test_it_may_be_over_before_anybody_waits() -> None:
    over: Future[None] = Future()
    over.set_result(None)
    asyncio.run(until_durable(over, LONG))


def test_time_that_is_up_takes_nothing_back() -> None:
    async def wait() -> None:
        published: Future[None] = Future()
        with pytest.raises(TimeoutError):
            await until_durable(published, SHORT)
        assert published.set_running_or_notify_cancel()
        published.set_exception(BusUnavailable("too late to tell anybody"))
        await asyncio.sleep(0)

    asyncio.run(wait())


def test_a_waiter_that_is_cancelled_takes_nothing_back() -> None:
    async def wait() -> None:
        published: Future[None] = Future()
        waiting = asyncio.create_task(until_durable(published, LONG))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert published.set_running_or_notify_cancel()
        published.set_result(None)
        await asyncio.sleep(0)

    asyncio.run(wait())


def test_the_bus_may_be_done_after_the_loop_is_closed(caplog: pytest.LogCaptureFixture) -> None:
    published: Future[None] = Future()

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            await until_durable(published, SHORT)

    asyncio.run(give_up())
    with caplog.at_level(logging.ERROR):
        published.set_result(None)
    assert not caplog.records
