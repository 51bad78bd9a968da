"""All that is kept of one live run: its window, what was published of it, and what is known of it as a whole.

It is stored as a head, which changes with every batch and is small, and the rows of its window, of which few change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from processors.runs.fold import FoldCodec
from processors.runs.window import Entry, Order, RunWindow
from processors.runs.window_rows import BASE, number_of, row_key
from schemas.step import Step

STATE_SCHEMA = 2

Fact = tuple[Order, str]


class Published(msgspec.Struct, array_like=True, gc=False):
    """What was last published of one episode."""

    version: int
    status: str
    stage: int
    digest: int
    whose: int
    detection_id: str
    trace_id: str
    crossing_span: str
    agent: str


class Facts(msgspec.Struct, array_like=True):
    """What the earliest step that says so says of the whole run; so the order of arrival does not matter."""

    service: Fact | None = None
    framework: Fact | None = None
    conversation_id: Fact | None = None

    def learn(self, step: Step) -> bool:
        """Take in what a step says; returns whether that changed anything."""
        order = (step.start_ns, step.span_id)
        service, framework, conversation = self.service, self.framework, self.conversation_id
        if step.service and (service is None or order <= service[0]):
            service = (order, step.service)
        if step.framework and (framework is None or order <= framework[0]):
            framework = (order, step.framework)
        if step.conversation_id and (conversation is None or order <= conversation[0]):
            conversation = (order, step.conversation_id)
        if (service, framework, conversation) == (self.service, self.framework, self.conversation_id):
            return False
        self.service, self.framework, self.conversation_id = service, framework, conversation
        return True


class StoredEntry(msgspec.Struct, array_like=True):
    """An entry as it is stored: each detector decodes its own item."""

    start_ns: int
    end_ns: int
    span_id: str
    trace_id: str
    seen_ns: int
    agent: str
    items: list[msgspec.Raw]
    billed: bytes = b""


class Stored(msgspec.Struct, array_like=True):
    """The head of a run. `detectors` names each with its version: a fold of another version is begun anew."""

    schema: int
    detectors: list[str]
    tenant: str
    run_id: str
    first_row: int
    frontier: Order | None
    published: list[dict[str, Published]]
    facts: Facts
    last_seen_ns: int
    root_ended: bool


class RunState:
    """A live run."""

    def __init__(self, tenant: str, run_id: str, codecs: Sequence[FoldCodec]) -> None:
        self.tenant = tenant
        self.run_id = run_id
        self.window = RunWindow(run_id, codecs)
        self.published: list[dict[str, Published]] = [{} for _ in codecs]
        self.facts = Facts()
        self.last_seen_ns = 0
        self.root_ended = False
        self.sizes: dict[int | str, int] = {}
        """Bytes of each row of the window as it is stored."""

    def stored_bytes(self) -> int:
        """Estimate what the window takes as it is stored, with its snapshots: one a row, each the size of the base."""
        return sum(self.sizes.values()) + len(self.sizes) * self.sizes.get(BASE, 0)

    def agent_of(self, crossing_span: str, otherwise: str) -> str:
        """Say whose step a span is by what is known now."""
        entry = self.window.by_span.get(crossing_span)
        return entry.agent if entry is not None and entry.agent else otherwise


Row = tuple[str, bytes | None]
"""A row's key and value; None where it is to be deleted."""


class _Head(msgspec.Struct, array_like=True):
    schema: int
    detectors: list[str]


class RunStateCodec:
    """Takes runs out as rows and puts them back."""

    def __init__(self, codecs: Sequence[FoldCodec]) -> None:
        self._codecs = codecs
        self._names = [f"{codec.detector.name}/{codec.detector.version}" for codec in codecs]
        self._encode = msgspec.msgpack.Encoder().encode
        self._head = msgspec.msgpack.Decoder(_Head)
        self._stored = msgspec.msgpack.Decoder(Stored)
        self._base = msgspec.msgpack.Decoder(list[bytes])
        self._entries = msgspec.msgpack.Decoder(list[StoredEntry])

    def pack(self, run: RunState) -> bytes:
        """Take the head of a run out."""
        stored = Stored(
            STATE_SCHEMA,
            self._names,
            run.tenant,
            run.run_id,
            run.window.rows.first,
            run.window.frontier,
            run.published,
            run.facts,
            run.last_seen_ns,
            run.root_ended,
        )
        return self._encode(stored)

    def changed_rows(self, run: RunState, key: str) -> Iterator[Row]:
        """Take out the rows of a run's window that changed since the last time."""
        window, rows = run.window, run.window.rows
        if rows.base_changed:
            base = self._encode(window.base())
            run.sizes[BASE] = len(base)
            yield row_key(key, BASE), base
        changed, gone = rows.take()
        for number in changed:
            entries = window.row(number - rows.first)
            value = self._encode(entries) if entries else None
            run.sizes[number] = len(value or b"")
            yield row_key(key, number), value
        for number in gone:
            run.sizes.pop(number, None)
            yield row_key(key, number), None

    def unpack(self, data: bytes, rows: Iterable[tuple[str, bytes]]) -> RunState | None:
        """Put a run back from its head and its rows, in order; None where other detectors or versions wrote it."""
        head = self._head.decode(data)
        if head.schema != STATE_SCHEMA or head.detectors != self._names:
            return None
        stored = self._stored.decode(data)
        run = RunState(stored.tenant, stored.run_id, self._codecs)
        base, entries = None, list[Entry]()
        for key, value in rows:
            number = number_of(key)
            run.sizes[BASE if number is None else number] = len(value)
            if number is None:
                base = self._base.decode(value)
            else:
                entries += map(self._entry, self._entries.decode(value))
        run.window = RunWindow(stored.run_id, self._codecs, base)
        run.window.refill(entries, stored.frontier, stored.first_row)
        run.window.touched.clear()
        run.published, run.facts = stored.published, stored.facts
        run.last_seen_ns, run.root_ended = stored.last_seen_ns, stored.root_ended
        return run

    def _entry(self, stored: StoredEntry) -> Entry:
        items = tuple(
            None if bytes(raw) == b"\xc0" else codec.decode_item(raw)
            for codec, raw in zip(self._codecs, stored.items, strict=True)
        )
        return Entry(
            stored.start_ns,
            stored.end_ns,
            stored.span_id,
            stored.trace_id,
            stored.seen_ns,
            stored.agent,
            items,
            stored.billed,
        )
