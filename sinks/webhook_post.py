"""One POST, and what its answer means: told, never to be told, or later.

What the answer blames on the event (400, 413, 415, 422) is never told; what it blames on the receiver or on the
address (everything else, redirects too, which are not followed) is tried again later.
"""

from __future__ import annotations

import email.utils
import ssl
import time
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import aiohttp

SAID_BYTES = 512
"""How much of an answer is read."""
NOT_THIS_ONE = frozenset({400, 413, 415, 422})
CONFLICT = 409
DOWN = frozenset({408, 425, 429, 502, 503, 504})
"""What says that it will be different later, whatever the event."""


class Verdict(Enum):
    """What became of a POST. `FAILED` is a receiver that answers, and fails with this event."""

    TOLD = "told"
    NEVER = "never"
    FAILED = "failed"
    DOWN = "down"


class Answer(NamedTuple):
    """A verdict, why, and how long the receiver wants to be left alone."""

    verdict: Verdict
    reason: str = ""
    retry_after_seconds: float = 0.0


def open_session(timeout_seconds: float, in_flight: int, ca_file: Path | None) -> aiohttp.ClientSession:
    """Open a session: no cookies, no proxies or passwords of the environment, certificates always verified."""
    context = ssl.create_default_context(cafile=ca_file)
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=in_flight, ssl=context, keepalive_timeout=5.0),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        auto_decompress=False,
    )


async def post(session: aiohttp.ClientSession, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
    """Post, and sort the answer; raises nothing that the other side can cause."""
    try:
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            said = (await response.content.read(SAID_BYTES)).decode("utf-8", "replace")
            return _sorted(response.status, said, response.headers)
    except TimeoutError:
        return Answer(Verdict.DOWN, "no answer in time")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Answer(Verdict.DOWN, _without_address(error))


def _without_address(error: Exception) -> str:
    """Say what went wrong; what aiohttp says of an answer it cannot read has the whole address in it."""
    said = str(error) if isinstance(error, OSError) else getattr(error, "message", "")
    return f"{type(error).__name__}: {said}"[:SAID_BYTES] if said else type(error).__name__


def _sorted(status: int, said: str, headers: Mapping[str, str]) -> Answer:
    reason = f"answered {status}" + (f": {_printable(said)}" if said else "")
    if 200 <= status < 300 or status == CONFLICT:
        return Answer(Verdict.TOLD)  # in conflict with itself: the receiver has it, or is taking it in
    if status in NOT_THIS_ONE:
        return Answer(Verdict.NEVER, reason)
    if status in DOWN:
        return Answer(Verdict.DOWN, reason, _retry_after(headers.get("Retry-After", "")))
    if status >= 500:
        return Answer(Verdict.FAILED, reason, _retry_after(headers.get("Retry-After", "")))
    if 300 <= status < 400:
        return Answer(Verdict.DOWN, f"answered {status}: redirects are not followed, give the address it leads to")
    return Answer(Verdict.DOWN, f"{reason}: look at the sink's url, headers and secret")


def _retry_after(value: str) -> float:
    """Read a `Retry-After` in seconds or as a date; 0 where it is neither."""
    if value.strip().isascii() and value.strip().isdigit():
        return float(value.strip()[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return 0.0


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in text).strip()
