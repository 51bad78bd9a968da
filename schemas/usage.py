"""`usage` records: tokens and money of one call, or what is taken back of it."""

from __future__ import annotations

import msgspec

USAGE_SCHEMA = 1


class UnknownUsageSchema(ValueError):  # noqa: N818  # named by what the reader should know
    """A record was written by a version this one does not know."""


class UsageRecord(msgspec.Struct, frozen=True):
    """One call as it is billed. A correction is negative: it takes back what an earlier record of the span said.

    `cost_usd` is None where nobody has a price. (tenant, trace, span, `sign_seq`) is unique, so writing a record
    again changes nothing. `at_ns` is when the call began, Unix ns.
    """

    tenant: str
    service: str
    agent: str
    framework: str
    run_id: str
    trace_id: str
    span_id: str
    model: str
    provider: str
    input: int
    output: int
    cache_read: int
    cache_write: int
    reasoning: int
    cost_usd: float | None
    at_ns: int
    sign_seq: int
    v: int = USAGE_SCHEMA


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(UsageRecord)


def encode_usage(record: UsageRecord) -> bytes:
    """Write a record's value: a msgpack map."""
    return _encoder.encode(record)


def decode_usage(value: bytes) -> UsageRecord:
    """Read a record's value; raises UnknownUsageSchema or msgspec.DecodeError for what is not ours."""
    record = _decoder.decode(value)
    if record.v != USAGE_SCHEMA:
        raise UnknownUsageSchema(f"usage schema {record.v}, this version reads {USAGE_SCHEMA}")
    return record


def taken_back(record: UsageRecord, sign_seq: int) -> UsageRecord:
    """Build the record that takes another back."""
    return msgspec.structs.replace(
        record,
        input=-record.input,
        output=-record.output,
        cache_read=-record.cache_read,
        cache_write=-record.cache_write,
        reasoning=-record.reasoning,
        cost_usd=None if record.cost_usd is None else -record.cost_usd,
        sign_seq=sign_seq,
    )
