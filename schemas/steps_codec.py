"""`agent_steps` values: msgpack `[schema version, [step, ...]]`."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from schemas.step import STEP_SCHEMA, Step


class UnknownStepSchema(ValueError):  # noqa: N818  # named by what the reader should know
    """A record was written by a version this one does not know."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[int, list[Step]])


def encode_steps(steps: Sequence[Step]) -> bytes:
    """Write steps as one record's value."""
    return _encoder.encode((STEP_SCHEMA, steps))


def encode_step(step: Step) -> bytes:
    """Write one step as it stands within a record's value."""
    return _encoder.encode(step)


def join_steps(encoded: Sequence[bytes]) -> bytes:
    """Write a record's value out of steps that are encoded already."""
    return _encoder.encode((STEP_SCHEMA, [msgspec.Raw(one) for one in encoded]))


def decode_steps(value: bytes) -> list[Step]:
    """Read a record's value; raises UnknownStepSchema or msgspec.DecodeError for what is not ours."""
    version, steps = _decoder.decode(value)
    if version != STEP_SCHEMA:
        raise UnknownStepSchema(f"agent_steps schema {version}, this version reads {STEP_SCHEMA}")
    return steps
