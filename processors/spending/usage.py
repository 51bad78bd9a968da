"""Bills steps: writes what each call used and cost to the `usage` topic, and takes back what a revision changes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collector.bus.protocol import Outgoing
from processors.detector import ModelCatalogue
from processors.spending.step_cost import believable_usage, cost_usd
from schemas.keys import join_key
from schemas.step import Step, Usage
from schemas.topics import TENANT_HEADER, USAGE
from schemas.usage import UsageRecord, decode_usage, encode_usage, taken_back

NOTHING = Usage()


class Biller:
    """Bills each step once. What was billed for it is kept by the caller, as opaque bytes, next to the step."""

    def __init__(self, models: ModelCatalogue) -> None:
        self._models = models

    def __call__(self, step: Step, before: bytes) -> tuple[bytes, Sequence[Outgoing]]:
        """Bill a step that is new, revised or retracted; `before` is what was billed for it, empty for nothing."""
        old = decode_usage(before) if before else None
        new = None if step.retracted else _charge(step, self._models)
        if old is not None and new is not None and _same(old, new):
            return before, ()
        records = usage_records(old, new, step.revision)
        return encode_usage(new) if new else b"", [_outgoing(record) for record in records]


def usage_records(old: UsageRecord | None, new: UsageRecord | None, revision: int) -> list[UsageRecord]:
    """List what has to be written so that the sum over a span is `new`, where `old` was written before.

    Sequence numbers follow the step's revision: even ones take back, odd ones charge.
    """
    records = [] if old is None else [taken_back(old, 2 * revision)]
    return records if new is None else [*records, new]


def _charge(step: Step, models: ModelCatalogue) -> UsageRecord | None:
    usage = believable_usage(step)
    usd = cost_usd(step, usage, models)
    if usage is None and usd is None:
        return None
    used = usage or NOTHING
    return UsageRecord(
        tenant=step.tenant,
        service=step.service,
        agent=step.agent,
        framework=step.framework,
        run_id=step.run_id,
        trace_id=step.trace_id,
        span_id=step.span_id,
        model=step.model,
        provider=step.provider,
        input=used.input,
        output=used.output,
        cache_read=used.cache_read,
        cache_write=used.cache_write,
        reasoning=used.reasoning,
        cost_usd=usd,
        at_ns=step.start_ns,
        sign_seq=2 * step.revision + 1,
    )


def _same(old: UsageRecord, new: UsageRecord) -> bool:
    return msgspec.structs.replace(old, sign_seq=0) == msgspec.structs.replace(new, sign_seq=0)


def _outgoing(record: UsageRecord) -> Outgoing:
    return Outgoing(USAGE, join_key(record.tenant), encode_usage(record), {TENANT_HEADER: record.tenant.encode()})
