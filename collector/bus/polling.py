"""Polling beside an event loop."""

from __future__ import annotations

import asyncio

from collector.bus.protocol import Batch, Consumer


async def polled(reader: Consumer, limit: int, timeout_seconds: float) -> Batch:
    """Poll in a thread. A caller that is cancelled waits for the poll to end: nothing may be closed under it."""
    poll = asyncio.ensure_future(asyncio.to_thread(reader.poll, limit, timeout_seconds=timeout_seconds))
    try:
        return await asyncio.shield(poll)
    except asyncio.CancelledError:
        await asyncio.wait([poll])
        raise
