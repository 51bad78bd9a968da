"""What both doors do with a request: admit it, parse it once, split it by partition, and wait until it is durable.

Refusal         how a request is refused, for either door
├── TooLarge    never: over the size limit, also after decompression
├── Malformed   never: not OTLP
└── Overloaded  later: try again after `retry_seconds`
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import xxhash
from google.protobuf.message import DecodeError

from collector.admission import Admission, Overload
from collector.bus.protocol import Bus, BusUnavailable, Outgoing
from collector.receivers.signals import Signal
from collector.spans_by_partition import split
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import REFUSED_REQUESTS
from schemas.topics import CONTENT_HASH_HEADER, TENANT_HEADER


class Refusal(Exception):  # noqa: N818  # a refusal is an answer, not a fault
    """A request that is not taken; `reason` goes to the sender and, as `kind`, into a metric."""

    kind = "refused"

    def __init__(self, reason: str, retry_seconds: float = 0.0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_seconds = retry_seconds


class TooLarge(Refusal):
    """The request is over the limit."""

    kind = "too_large"


class Malformed(Refusal):
    """The request is not what it says it is, and never will be."""

    kind = "malformed"


class Overloaded(Refusal):
    """The request may be sent again after a while."""

    kind = "overloaded"


class Accepted(NamedTuple):
    """A request that is durable, but for the items that were rejected."""

    items: int
    rejected: int
    reason: str


class Intake:
    """Takes requests for one receiver. `max_record_bytes` bounds a record on the bus."""

    def __init__(self, bus: Bus, admission: Admission, receiver: str = "otlp") -> None:
        self._bus = bus
        self._admission = admission
        self._receiver = receiver

    async def take(self, signal: Signal, body: bytes, transport: str, tenant: str = DEFAULT_TENANT) -> Accepted:
        """Make a request durable; raises a Refusal."""
        labels = {"receiver": self._receiver, "transport": transport}
        try:
            with self._admission.admit(len(body)):
                request = _parse(signal, body)
                items, rejected, reason = signal.check(request)
                if items:
                    await self._publish(signal, request, body if not rejected else request.SerializeToString(), tenant)
        except Overload as overload:
            raise self._refused(transport, Overloaded(str(overload), overload.retry_seconds)) from overload
        except BusUnavailable as error:
            raise self._refused(transport, Overloaded(str(error), error.retry_after_seconds)) from error
        except Refusal as refusal:
            raise self._refused(transport, refusal) from refusal.__cause__
        signal.accepted.labels(**labels).inc(items)
        if rejected:
            signal.refused.labels(**labels).inc(rejected)
        return Accepted(items, rejected, reason)

    async def _publish(self, signal: Signal, request: Any, body: bytes, tenant: str) -> None:
        partitions = self._bus.partitions(signal.topic)
        records = [
            Outgoing(signal.topic, part.key, part.value, _headers(tenant, part.value), part.partition)
            for part in split(signal.topic, request, body, partitions)
        ]
        await asyncio.wrap_future(self._bus.publish(records))

    def _refused(self, transport: str, refusal: Refusal) -> Refusal:
        REFUSED_REQUESTS.labels(transport=transport, reason=refusal.kind).inc()
        return refusal


def _parse(signal: Signal, body: bytes) -> Any:
    try:
        return signal.request.FromString(body)
    except DecodeError as error:
        raise Malformed(f"not an OTLP {signal.name} request: {error}") from error


def _headers(tenant: str, value: bytes) -> dict[str, bytes]:
    content = xxhash.xxh3_64(tenant.encode())
    content.update(value)
    headers = {CONTENT_HASH_HEADER: content.hexdigest().encode()}
    if tenant != DEFAULT_TENANT:
        headers[TENANT_HEADER] = tenant.encode()
    return headers
