"""What is fuzzed: a target takes any bytes, and raises where something is wrong with us rather than with the bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError
from memory_state import MemoryState

from collector.bus.protocol import Batch, Record
from collector.components import registry
from collector.normalise.normaliser import Normaliser
from collector.protobuf_wire import WireError, field, fields
from collector.receivers.api_keys import ApiKey, ApiKeys, hash_of
from collector.receivers.compression import DECODERS, decompress
from collector.receivers.intake import Malformed, TooLarge
from collector.receivers.otlp_json import from_json
from collector.receivers.signals import LOGS, METRICS, SIGNALS, TRACES, Signal
from collector.receivers.tiny_parts import made_of_tiny_parts
from collector.spans_by_partition import FRAMING_BYTES, Split, split
from config.problems import ConfigError
from config.validation import validate
from config.yaml_dialect import parse
from healing.homes import Home
from healing.policy_board import PolicyBoard
from schemas.healing import Policy, decode, encode
from schemas.step import Step
from schemas.steps_codec import decode_steps
from schemas.topics import AGENT_STEPS, DEAD_LETTERS, OTLP_LOGS, OTLP_SPANS, POLICIES, RUN_LINKS
from sinks.statements import Refused, check, tokenize

NOW_NS = 1_800_000_000_000_000_000
DECOMPRESSED_LIMIT = 1 << 20
NESTED = {
    "traces": ("resource_spans", "scope_spans", "spans"),
    "logs": ("resource_logs", "scope_logs", "log_records"),
    "metrics": ("resource_metrics", "scope_metrics", "metrics"),
}
HOME = Home("default", "fuzzed", "agent")
KEY = "tm_of-the-fuzzed-tenant-0123456789"
TABLE_FUNCTIONS, REACHING = ("file", "url", "merge", "numbers"), ("aigenerate",)

Target = Callable[[bytes], None]


class Item(NamedTuple):
    """One item of a request, and what else stands in its scope and its resource, as bytes."""

    resource: bytes
    scope: bytes
    item: bytes


def otlp_json(data: bytes) -> None:
    """Read JSON into a request that protobuf's parser takes, or see it refused as malformed."""
    signal, body = _signal(data)
    try:
        request = from_json(signal.request, body)
    except Malformed:
        return
    written = request.SerializeToString()
    assert signal.request.FromString(written).SerializeToString() == written
    signal.check(request)


def protobuf_intake(data: bytes) -> None:
    """Judge a body as the parser judges it, and split what parses without loss."""
    signal, body = _signal(data)
    tiny_parts(data)
    try:
        request = signal.request.FromString(body)
    except DecodeError:
        return
    for partitions, most in ((1, 1 << 30), (12, 1 << 30), (5, 200)):
        split_is_whole(signal, request, body, partitions, most)


def tiny_parts(data: bytes) -> None:
    """Refuse nothing, in the walk of the wire format, that the parser takes."""
    signal, body = _signal(data)
    try:
        made_of_tiny_parts(signal.request, body)
    except WireError:
        try:
            signal.request.FromString(body)
        except DecodeError:
            return
        raise


def spans_by_partition(data: bytes) -> None:
    """Split a request whole for any number of partitions and any limit: the first bytes say which."""
    if len(data) < 4:
        return
    signal, body = _signal(data[3:])
    try:
        request = signal.request.FromString(body)
    except DecodeError:
        return
    split_is_whole(signal, request, body, 1 + data[0] % 16, int.from_bytes(data[1:3], "big"))


def split_is_whole(signal: Signal, request: Any, body: bytes, partitions: int, most: int) -> None:
    """Check that the parts of a request, and what fits into none, are the request: each item once, in its order."""
    keys = signal.check(request).keys
    if not any(key is not None for key in keys):
        return
    found = split(body, keys, partitions, most, signal.by_key)
    items = list(items_of(signal, request))
    assert len(items) == len(keys)
    _check_sizes(found, most)
    parts = [list(items_of(signal, signal.request.FromString(part.value))) for part in found.parts]
    too_large = [_only_item(signal, one) for one in found.too_large]
    sent = Counter(one for one, key in zip(items, keys, strict=True) if key is not None)
    kept = Counter(one for part in parts for one in part)
    assert not kept - sent
    assert Counter(one.item for one in (sent - kept).elements()) == Counter(too_large)
    for one in (sent - kept).elements() if body == request.SerializeToString() else ():  # else it may take more
        assert len(one.item) + len(one.resource) + len(one.scope) + 2 * FRAMING_BYTES > most
    _check_order(items, parts, found)


def _check_sizes(found: Split, most: int) -> None:
    assert all(0 < len(part.value) <= most for part in found.parts)


def _check_order(items: list[Item], parts: list[list[Item]], found: Split) -> None:
    """Items that are alike cannot be told apart, so that each is looked for behind the one before it."""
    by_partition: dict[tuple[int, str], list[Item]] = {}
    for part, inside in zip(found.parts, parts, strict=True):
        by_partition.setdefault((part.partition, part.key), []).extend(inside)
    for kept in by_partition.values():
        following = iter(items)
        assert all(any(one == other for other in following) for one in kept)


def items_of(signal: Signal, request: Any) -> Iterator[Item]:
    """Walk the items of a request; what protobuf's parser merges or does not know is compared as it writes it."""
    resources, scopes, inner = NESTED[signal.name]
    for resource in getattr(request, resources):
        head = type(resource)()
        head.CopyFrom(resource)
        head.ClearField(scopes)
        for scope in getattr(resource, scopes):
            bare = type(scope)()
            bare.CopyFrom(scope)
            bare.ClearField(inner)
            for item in getattr(scope, inner):
                yield Item(head.SerializeToString(), bare.SerializeToString(), item.SerializeToString())


def _only_item(signal: Signal, item: bytes) -> bytes:
    (one,) = items_of(signal, signal.request.FromString(field(1, field(2, item))))
    return one.item


def wire_format(data: bytes) -> None:
    """Walk any bytes without a gap, or refuse them."""
    try:
        walked = [(start, end) for _, start, _, end in fields(data, 0, len(data))]
    except WireError:
        return
    assert b"".join(data[start:end] for start, end in walked) == data


def decompression(data: bytes) -> None:
    """Decompress a body within its limit, or refuse it: the first byte says by which codec."""
    if not data:
        return
    name = sorted(DECODERS)[data[0] % len(DECODERS)]
    try:
        assert len(decompress(name, data[1:], DECOMPRESSED_LIMIT)) <= DECOMPRESSED_LIMIT
    except (Malformed, TooLarge):
        return


def normaliser(data: bytes) -> None:
    """Make steps that can be read again of any request, or a dead letter, also after a restart and when it repeats."""
    topic = (OTLP_SPANS, OTLP_LOGS)[len(data) % 2]
    normalised([(topic, data), (OTLP_SPANS, data)])


def normalised(records: Iterable[tuple[str, bytes]]) -> list[Step]:
    """Hand requests to a normaliser, one batch each, and start it anew in between; returns the steps it told."""
    state, steps = MemoryState(), []
    for offset, (topic, value) in enumerate(records):
        stage = Normaliser()
        stage.restore(state)
        batch = Batch([Record(topic, 0, offset, "", value, {}, NOW_NS + offset)], NOW_NS + offset)
        handled = stage.handle(batch, state)
        state.apply(handled.changes)
        for out in handled.outputs:
            assert out.topic in (AGENT_STEPS, RUN_LINKS, DEAD_LETTERS)
            steps += decode_steps(out.value) if out.topic == AGENT_STEPS else []
    return steps


def yaml_dialect(data: bytes) -> None:
    """Make a configuration of a text, or tell every problem with it."""
    document = parse("fuzz.yaml", data.decode("utf-8", "replace"), {"SET": "value", "NESTED": "${env:SET}"})
    try:
        validate(document, registry())
    except ConfigError as error:
        told = len(error.problems)
    else:
        told = 1
    assert told


def statement_filter(data: bytes) -> None:
    """Refuse a statement, or know it for one question that calls nothing outside, also when it is checked again."""
    sql = data.decode("utf-8", "replace")
    try:
        question = check(sql, TABLE_FUNCTIONS, REACHING)
    except Refused:
        return
    tokens = [(token.kind, token.text.lower()) for token in tokenize(question.sql)]
    assert not {(kind, name) for kind in ("name", "quoted") for name in ("file", "aigenerate")} & set(tokens)
    assert not {("name", "into"), ("sign", ";")} & set(tokens)
    assert check(question.sql, TABLE_FUNCTIONS, REACHING).sql.strip()


def policy_board(data: bytes) -> None:
    """Take a record of the policies' topic over or send it to the dead letters; readers get an answer either way."""
    board, state = PolicyBoard(), MemoryState()
    handled = board.handle(Batch([Record(POLICIES, 0, 0, HOME.key, data, {}, NOW_NS)], NOW_NS), state)
    state.apply(handled.changes)
    assert all(out.topic == DEAD_LETTERS for out in handled.outputs)
    assert handled.outputs or state.rows or not decode(Policy, data).rules
    again = PolicyBoard()
    again.restore(state)
    assert encode(again.obeyed_by(HOME, NOW_NS))


def api_keys(data: bytes) -> None:
    """Know a key wherever it stands, and no other: any two headers name its tenant or nobody."""
    first, _, second = data.decode("utf-8", "surrogateescape").partition("\n")
    known = ApiKeys([ApiKey(tenant="acme", hash=hash_of(KEY))])
    written = {first, second, first.strip().partition(" ")[2].strip()}
    if known.tenant(first, second) is not None:
        assert KEY in written or first.strip().lower().startswith("basic ")
    assert known.tenant(first, KEY) == "acme"
    assert known.tenant(f"bEARER  {KEY} ", second) == "acme"


def _signal(data: bytes) -> tuple[Signal, bytes]:
    """Take the signal from the last byte, so that recorded requests are seeds as they are."""
    return (SIGNALS[data[-1] % 3], data[:-1]) if data else (TRACES, data)


TARGETS: dict[str, Target] = {
    target.__name__: target
    for target in (
        otlp_json,
        protobuf_intake,
        tiny_parts,
        spans_by_partition,
        wire_format,
        decompression,
        normaliser,
        yaml_dialect,
        statement_filter,
        policy_board,
        api_keys,
    )
}
MARK = {TRACES.name: bytes([0]), LOGS.name: bytes([1]), METRICS.name: bytes([2])}
"""What a seed for a target ends with."""
