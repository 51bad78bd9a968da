"""Splits a request by partition without touching what is in it: byte slices of the wire format, joined anew.

Requests of all three signals have one shape: a list (field 1) of resources, each with a list (field 2) of scopes, each
with a list (field 2) of items: spans, log records or metrics. The request was parsed once before, so what its items are
called is known, in their order: `keys`. What else stands in a resource or scope goes along with each of its parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from collector.bus.murmur2 import partition_of, partitions_of
from collector.protobuf_wire import field, fields

RESOURCES, NESTED = 1 << 3 | 2, 2 << 3 | 2
FRAMING_BYTES = 24
"""Tags and lengths around an item, its scope and its resource, at most."""
Place = tuple[int, str]
"""What ends up in one record: a partition, and a key where each key has records of its own."""


class Part(NamedTuple):
    """What of a request goes into one record. `key` is empty where it holds items of several."""

    partition: int
    key: str
    value: bytes


class Split(NamedTuple):
    """The records of a request, and the items too large for any (as fields: tag, length and value)."""

    parts: list[Part]
    too_large: list[bytes]


class Bounds(NamedTuple):
    """Bytes of a record: of one that holds a single item, and of one that holds several."""

    item: int
    piece: int


class Slices(NamedTuple):
    """Items of one scope of one resource, each known by where it begins; the heads are all the other fields."""

    resource: int
    scope: int
    resource_head: bytes
    scope_head: bytes
    items: list[bytes]


def split(
    body: bytes,
    keys: Sequence[str | None],
    partitions: int,
    max_bytes: int,
    by_key: bool = False,
    piece_bytes: int | None = None,
) -> Split:
    """Split a request into records of at most `max_bytes`, one per partition, or per key where that is wanted.

    With `piece_bytes` records of several items are no larger than that, since whoever reads one holds all of it.
    An item's partition is that of its key; an item whose key is None is left out. With one partition and nothing
    to leave out the request goes in unchanged.
    """
    distinct = set(keys)
    piece = min(max_bytes, piece_bytes or max_bytes)
    if len(body) <= piece and None not in distinct and (len(distinct) == 1 or (partitions == 1 and not by_key)):
        (key,) = distinct if len(distinct) == 1 else ("",)
        return Split([Part(partition_of(key or "", partitions), key or "", body)], [])
    named = [key for key in distinct if key is not None]
    spread = partitions_of(named, partitions)
    places = {key: (partition, key if by_key else "") for key, partition in zip(named, spread, strict=True)}
    only: dict[Place, str] = {}
    for key, place in places.items():
        only[place] = key if place not in only else ""
    found = Split([], [])
    for place, pile in sorted(_piles(body, keys, places).items()):
        _pack(pile, Bounds(max_bytes, piece), found, place[0], only[place])
    return found


def _piles(body: bytes, keys: Iterable[str | None], places: dict[str, Place]) -> dict[Place, list[Slices]]:
    """Hand each item's bytes to its place."""
    piles: dict[Place, list[Slices]] = {}
    following = iter(keys)
    for tag, at, value, end in fields(body, 0, len(body)):
        if tag != RESOURCES:
            continue
        resource_head, scopes = _heads(body, value, end)
        for scope_at, inner, stop in scopes:
            scope_head, items = _heads(body, inner, stop)
            for place, slices in _by_place(body, items, following, places).items():
                piles.setdefault(place, []).append(Slices(at, scope_at, resource_head, scope_head, slices))
    return piles


def _by_place(
    body: bytes, items: Iterable[tuple[int, int, int]], keys: Iterator[str | None], places: dict[str, Place]
) -> dict[Place, list[bytes]]:
    found: dict[Place, list[bytes]] = {}
    for (start, _, end), key in zip(items, keys, strict=False):  # the keys go on in the next scope
        if key is not None:
            found.setdefault(places[key], []).append(body[start:end])
    return found


def _heads(body: bytes, at: int, end: int) -> tuple[bytes, list[tuple[int, int, int]]]:
    """Tell a message's nested list from all its other fields."""
    head: list[bytes] = []
    nested: list[tuple[int, int, int]] = []
    for tag, start, value, stop in fields(body, at, end):
        if tag == NESTED:
            nested.append((start, value, stop))
        else:
            head.append(body[start:stop])
    return b"".join(head), nested


def _pack(pile: list[Slices], most: Bounds, found: Split, partition: int, key: str) -> None:
    """Make records of a pile, as few as fit."""
    if _size(pile) <= most.piece:
        found.parts.append(Part(partition, key, _joined(pile)))
        return
    record: list[Slices] = []
    size = 0
    for slices in pile:
        for item in slices.items:
            takes = _size([slices._replace(items=[item])])
            if takes > most.item:
                found.too_large.append(item)
                continue
            if record and size + takes > most.piece:
                found.parts.append(Part(partition, key, _joined(record)))
                record, size = [], 0
            if not record or record[-1].scope != slices.scope:
                record.append(slices._replace(items=[]))
            record[-1].items.append(item)
            size += takes
    if record:
        found.parts.append(Part(partition, key, _joined(record)))


def _size(pile: Iterable[Slices]) -> int:
    """Bound what a pile takes as a record, from above."""
    return sum(len(one.resource_head) + len(one.scope_head) + FRAMING_BYTES + sum(map(len, one.items)) for one in pile)


def _joined(pile: Iterable[Slices]) -> bytes:
    """Put slices together again; scopes of one resource stand under one head."""
    resources: list[bytes] = []
    for _, of_resource in groupby(pile, lambda one: one.resource):
        scopes = list(of_resource)
        inner = [field(2, one.scope_head + b"".join(one.items)) for one in scopes]
        resources.append(field(1, scopes[0].resource_head + b"".join(inner)))
    return b"".join(resources)
