"""What both doors do with a request: admit it, parse it once, split it by partition, and wait until it is durable.

Refusal         how a request is refused, for either door
├── TooLarge    never: over the size limit, also after decompression
├── Malformed   never: not OTLP
├── Unsupported never: it is encoded in a way that is not known here
├── NoKey       never: it brings no key that is known
└── Overloaded  later: try again after `retry_seconds`
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from google.protobuf.message import DecodeError

from collector.admission import NEVER, SHARE, Admission, Hold, Overload
from collector.bus.protocol import Bus, BusUnavailable, Outgoing, RecordTooLarge
from collector.bus.repeats import hash_of
from collector.protobuf_wire import WireError, field
from collector.receivers.durable import until_durable
from collector.receivers.signals import Checked, Signal
from collector.receivers.tiny_parts import made_of_tiny_parts
from collector.spans_by_partition import Split, split
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import REFUSED_REQUESTS
from schemas.topics import CONTENT_HASH_HEADER, TENANT_HEADER

MIB = 1024 * 1024
RECORD_BYTES = 64 * MIB
DURABLE_SECONDS = 60.0
"""How long a request waits for the bus before its sender is told to come again."""
NAMED_ITEMS = 5
LARGE_BYTES = 2 * MIB
"""A request from here on is looked at before it is parsed; smaller ones cannot make the parser take much."""


class Refusal(Exception):  # noqa: N818  # a refusal is an answer, not a fault
    """A request that is not taken; `reason` goes to the sender and, as `kind`, into a metric."""

    kind = "refused"

    def __init__(self, reason: str, retry_seconds: float = 0.0, at: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds
        self.at = at


class TooLarge(Refusal):
    """The request is over the limit."""

    kind = "too_large"


class Malformed(Refusal):
    """The request is not what it says it is, and never will be; `at` is the path of the field that is wrong."""

    kind = "malformed"


class Unsupported(Refusal):
    """The request is written in a way that is not known here; `at` is the header that says so."""

    kind = "unsupported"


class NoKey(Refusal):
    """The request brings no key that is known."""

    kind = "unauthenticated"


class Overloaded(Refusal):
    """The request may be sent again after a while."""

    kind = "overloaded"


class OverShare(Overloaded):
    """The tenant has had its part of the room for now; others have not."""

    kind = "over_share"


def overloaded(overload: Overload) -> Refusal:
    """Make the refusal of a request for which there is no room; the metric says for want of what."""
    if overload.kind == NEVER:
        return TooLarge(str(overload))
    refusal = OverShare if overload.kind == SHARE else Overloaded
    return refusal(str(overload), overload.retry_seconds)


class Accepted(NamedTuple):
    """A request that is durable, but for the items that were rejected."""

    items: int
    rejected: int
    reason: str


class Intake:
    """Takes requests for one receiver.

    `max_record_bytes` bounds a record on the bus, and so what a single item may have; `piece_bytes` one of several.
    """

    def __init__(
        self,
        bus: Bus,
        admission: Admission,
        receiver: str = "otlp",
        max_record_bytes: int = RECORD_BYTES,
        piece_bytes: int = RECORD_BYTES,
    ) -> None:
        self._bus = bus
        self.admission = admission
        self.large = asyncio.Semaphore()
        """Held by the one large request that is worked on beside the event loop."""
        self._receiver = receiver
        self._max_record_bytes = max_record_bytes
        self._piece_bytes = piece_bytes

    async def take(
        self, signal: Signal, body: bytes, transport: str, tenant: str = DEFAULT_TENANT, held: Hold | None = None
    ) -> Accepted:
        """Make a request durable, with what was held while it was read; raises a Refusal.

        A sender that goes away does not stop it: what the bus was given stays counted until the bus is done with it.
        """
        return await asyncio.shield(asyncio.ensure_future(self._take(signal, body, transport, tenant, held)))

    def look(self, tenant: str, announced: int = 0) -> None:
        """Refuse a request before it is read, where there is no room for it, of so many bytes as it says, or any."""
        try:
            self.admission.look(tenant, announced)
        except Overload as overload:
            raise overloaded(overload) from overload

    def refuse(self, transport: str, refusal: Refusal) -> Refusal:
        """Count a refusal."""
        REFUSED_REQUESTS.labels(transport=transport, reason=refusal.kind).inc()
        return refusal

    async def _take(self, signal: Signal, body: bytes, transport: str, tenant: str, held: Hold | None) -> Accepted:
        try:
            with self.admission.admit(len(body), tenant, held):
                if len(body) >= LARGE_BYTES:
                    await self._look_at(signal, body)
                checked, found = self._read(signal, body)
                await self._publish(signal, checked, found, transport, tenant)
        except Overload as overload:
            raise overloaded(overload) from overload
        return self._counted(signal, checked, found, transport)

    async def _look_at(self, signal: Signal, body: bytes) -> None:
        """Refuse a body that would take the parser far more memory than an honest one."""
        try:
            async with self.large:
                tiny = await asyncio.to_thread(made_of_tiny_parts, signal.request, body)
        except WireError as error:
            raise Malformed(f"not an OTLP {signal.name} request: {error}") from error
        if tiny:
            raise Malformed(f"{len(body)} bytes of parts of next to no content are no telemetry")

    def _read(self, signal: Signal, body: bytes) -> tuple[Checked, Split]:
        try:
            checked = signal.check(signal.request.FromString(body))
            if not checked.counted and not any(checked.keys):
                return checked, Split([], [])
            partitions = self._bus.partitions(signal.topic)
            most = self._most(signal)
            return checked, split(body, checked.keys, partitions, most, signal.by_key, min(most, self._piece_bytes))
        except (DecodeError, WireError) as error:
            raise Malformed(f"not an OTLP {signal.name} request: {error}") from error

    def _most(self, signal: Signal) -> int:
        """Say how large a record may be: for us, and for the bus."""
        return min(self._max_record_bytes, self._bus.max_record_bytes(signal.topic))

    async def _publish(self, signal: Signal, checked: Checked, found: Split, transport: str, tenant: str) -> None:
        if not found.parts:
            return
        records = [
            Outgoing(signal.topic, part.key, part.value, record_headers(tenant, part.value), part.partition)
            for part in found.parts
        ]
        try:
            await until_durable(self._bus.publish(records), DURABLE_SECONDS)
        except (BusUnavailable, TimeoutError) as error:
            signal.refused.labels(receiver=self._receiver, transport=transport).inc(checked.counted)
            later = error.retry_after_seconds if isinstance(error, BusUnavailable) else 1.0
            raise Overloaded(str(error) or "the bus did not take it in time", later) from error
        except RecordTooLarge as error:
            raise TooLarge(str(error)) from error

    def _counted(self, signal: Signal, checked: Checked, found: Split, transport: str) -> Accepted:
        """Count what became of a request, and say what was rejected and why."""
        weighed = [signal.weigh(signal.request.FromString(field(1, field(2, item)))) for item in found.too_large]
        too_large = sum(count for count, _ in weighed)
        accepted, rejected = checked.counted - too_large, checked.rejected + too_large
        reasons = [checked.reason] if checked.reason else []
        if weighed:
            names = ", ".join(name for _, name in weighed[:NAMED_ITEMS])
            reasons.append(f"over {self._most(signal)} bytes: {names}{' ...' if len(weighed) > NAMED_ITEMS else ''}")
        labels = {"receiver": self._receiver, "transport": transport}
        signal.accepted.labels(**labels).inc(accepted)
        if rejected:
            signal.refused.labels(**labels).inc(rejected)
        return Accepted(accepted, rejected, "; ".join(reasons))


def record_headers(tenant: str, value: bytes) -> dict[str, bytes]:
    """Give the headers of a record that a receiver writes."""
    headers = {} if tenant == DEFAULT_TENANT else {TENANT_HEADER: tenant.encode()}
    headers[CONTENT_HASH_HEADER] = hash_of(headers, value).encode()
    return headers
