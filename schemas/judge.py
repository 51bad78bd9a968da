"""What the LLM judge and the owner of a tenant's money say to each other: `judge_budget` and `judge_grants` records.

Money is in micro-USD, whole numbers, so that sums are exact. Schema version first, as on every internal topic.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

JUDGE_SCHEMA = 1
MICRO = 1_000_000
"""Micro-USD in a USD."""

RUN, TENANT_HOUR, TENANT_DAY = "run", "tenant_hour", "tenant_day"
"""The budgets there are; a refusal names the one that is spent."""


T = TypeVar("T")


class UnknownJudgeSchema(ValueError):  # noqa: N818  # named by what the reader should know
    """A record was written by a version this one does not know."""


class Reserve(msgspec.Struct, frozen=True, array_like=True, tag="reserve"):
    """Asks for the most that one call may cost. `id` is unique for the tenant; `case` says who waits for the answer."""

    id: str
    tenant: str
    run_id: str
    case: str
    micro_usd: int


class Settle(msgspec.Struct, frozen=True, array_like=True, tag="settle"):
    """Says what the call of a reservation cost; the rest is given back."""

    id: str
    tenant: str
    micro_usd: int


class Grant(msgspec.Struct, frozen=True, array_like=True):
    """Answers a `Reserve`. `spent` is empty where it is granted, else names the budget that would be exceeded."""

    id: str
    case: str
    spent: str = ""


_encoder = msgspec.msgpack.Encoder()
_purse = msgspec.msgpack.Decoder(tuple[int, Reserve | Settle])
_grant = msgspec.msgpack.Decoder(tuple[int, Grant])


def encode_purse(message: Reserve | Settle) -> bytes:
    """Write a `judge_budget` value."""
    return _encoder.encode((JUDGE_SCHEMA, message))


def decode_purse(value: bytes) -> Reserve | Settle:
    """Read a `judge_budget` value; raises UnknownJudgeSchema or msgspec.DecodeError for what is not ours."""
    version, message = _purse.decode(value)
    return _known(version, message)


def encode_grant(grant: Grant) -> bytes:
    """Write a `judge_grants` value."""
    return _encoder.encode((JUDGE_SCHEMA, grant))


def decode_grant(value: bytes) -> Grant:
    """Read a `judge_grants` value; raises as `decode_purse`."""
    version, grant = _grant.decode(value)
    return _known(version, grant)


def _known(version: int, message: T) -> T:
    if version != JUDGE_SCHEMA:
        raise UnknownJudgeSchema(f"judge schema {version}, this version reads {JUDGE_SCHEMA}")
    return message
