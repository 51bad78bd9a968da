"""Dead letters, read back: what each holds, and the record it becomes when it is put back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from collector.bus.protocol import Bus, Outgoing, Record
from schemas.keys import DEFAULT_TENANT
from schemas.topics import BY_NAME, DEAD_LETTERS, REPLAY_FOR_HEADER, REPLAY_HEADER, TENANT_HEADER

OF_LETTERS = (
    "original-topic",
    "original-partition",
    "original-offset",
    "original-size",
    "error-class",
    "error-text",
    "stage",
    REPLAY_HEADER,
    REPLAY_FOR_HEADER,
)
"""Headers that the record did not have before it became a dead letter."""


class Letter(NamedTuple):
    """A dead letter. `size` is what the record had, in bytes; the letter holds less of it where that was too much."""

    record: Record
    topic: str
    partition: int
    offset: int
    size: int
    stage: str
    error_class: str
    error_text: str
    tenant: str

    @property
    def id(self) -> str:
        """Name it: its own topic, partition and offset."""
        return f"{DEAD_LETTERS}/{self.record.partition}/{self.record.offset}"

    @property
    def is_cut(self) -> bool:
        """Say whether the letter holds only the beginning of the record."""
        return self.size > len(self.record.value)


def letters(bus: Bus, patience_seconds: float) -> Iterator[Letter]:
    """Read all dead letters that there are, oldest first; `patience_seconds`: how long a bus may take to answer."""
    reader = bus.reader([DEAD_LETTERS])
    try:
        for partition in range(bus.partitions(DEAD_LETTERS)):
            reader.seek(DEAD_LETTERS, partition, 0)
        while records := reader.poll(timeout_seconds=patience_seconds).records:
            yield from map(letter_of, records)
    finally:
        reader.close()


def letter_of(record: Record) -> Letter:
    """Read a dead letter; what its headers do not say is empty, its place then -1."""
    text = {name: value.decode("utf-8", "replace") for name, value in record.headers.items()}
    return Letter(
        record,
        text.get("original-topic", ""),
        _number(text.get("original-partition", "")),
        _number(text.get("original-offset", "")),
        max(len(record.value), _number(text.get("original-size", ""))),
        text.get("stage", ""),
        text.get("error-class", ""),
        text.get("error-text", ""),
        text.get(TENANT_HEADER, DEFAULT_TENANT),
    )


def why_not(letter: Letter, bus: Bus) -> str:
    """Say why a letter cannot be put back; empty where it can be."""
    if letter.topic not in BY_NAME:
        return f"its topic {letter.topic!r} is none of ours"
    if letter.topic == DEAD_LETTERS:
        return "it is a dead letter that could not be handled itself"
    if not 0 <= letter.partition < bus.partitions(letter.topic):
        return f"{letter.topic} has no partition {letter.partition}"
    if letter.is_cut:
        return f"it was cut: {len(letter.record.value)} of {letter.size} bytes are kept"
    return ""


def put_back(letter: Letter, now_ns: int) -> Outgoing:
    """Make the record again: same topic, partition, key, bytes and headers.

    Two headers are new. One is unlike that of any other replay, so that it is not taken for a repeat; the other names
    the stage that could not handle it, so that those that did pass it over.
    """
    headers = {name: value for name, value in letter.record.headers.items() if name not in OF_LETTERS}
    headers[REPLAY_HEADER] = f"{letter.id}@{now_ns}".encode()
    if letter.stage:
        headers[REPLAY_FOR_HEADER] = letter.stage.encode()
    return Outgoing(letter.topic, letter.record.key, letter.record.value, headers, letter.partition)


def _number(text: str) -> int:
    return int(text[:18]) if text.isascii() and text.isdigit() else -1
