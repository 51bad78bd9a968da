"""RFC 3339 UTC times with nanoseconds, written and read."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND_NS = 1_000_000_000
LONGEST = 40
"""Characters of the longest time that is read."""


def rfc3339(ns: int) -> str:
    """Write Unix nanoseconds as RFC 3339 UTC; what no calendar holds is written as the epoch."""
    seconds, rest = divmod(ns, SECOND_NS)
    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        moment, rest = datetime.fromtimestamp(0, UTC), 0
    return f"{moment.isoformat()[:19]}.{rest:09d}Z"


def unix_ns(text: str) -> int:
    """Read an RFC 3339 time as Unix nanoseconds, digits beyond the ninth cut; raises ValueError."""
    if len(text) > LONGEST or not text.isascii():
        raise ValueError("not an RFC 3339 time")
    head, fraction, zone = text[:19], "", text[19:]
    if zone.startswith("."):
        fraction = zone[1 : 1 + _leading_digits(zone[1:])]
        zone = zone[1 + len(fraction) :]
    if not (head[4:5] == head[7:8] == "-" and head[10:11] in ("T", "t") and head[13:14] == head[16:17] == ":" and zone):
        raise ValueError("not an RFC 3339 time")
    moment = datetime.fromisoformat(f"{head}{'+00:00' if zone in ('Z', 'z') else zone}")
    return int(moment.timestamp()) * SECOND_NS + int(f"{fraction}000000000"[:9])


def _leading_digits(text: str) -> int:
    return len(text) - len(text.lstrip("0123456789"))
