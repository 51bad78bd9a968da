"""The records in which the judge asks for money, gives it back, and bills what its calls cost."""

from __future__ import annotations

import xxhash

from collector.bus.protocol import Outgoing
from processors.judging.cases import Case
from processors.judging.prices import PROVIDER
from schemas.judge import MICRO, Reserve, Settle, encode_purse
from schemas.keys import join_key
from schemas.step import Usage
from schemas.topics import JUDGE_BUDGET, TENANT_HEADER, USAGE
from schemas.usage import UsageRecord, encode_usage

SERVICE, AGENT = "tracemend", "llm_judge"
"""Under these names the judge's own calls are billed."""


def asking(case: Case) -> Outgoing:
    """Ask for what a case's next call may cost at most."""
    reserve = Reserve(case.reservation, case.tenant, case.run_id, case.key, case.held)
    return _to_owner(case, reserve)


def settling(case: Case, micro_usd: int) -> Outgoing:
    """Say what the call of a case's present reservation cost."""
    return _to_owner(case, Settle(case.reservation, case.tenant, micro_usd))


def billing(case: Case, model: str, usage: Usage, micro_usd: int, at_ns: int) -> Outgoing:
    """Bill a call as agents' calls are billed: to the tenant and the run it was made for."""
    record = UsageRecord(
        tenant=case.tenant,
        service=SERVICE,
        agent=AGENT,
        framework="",
        run_id=case.run_id,
        trace_id=case.told()["trace_id"],
        span_id=xxhash.xxh3_64_hexdigest(case.reservation.encode()),
        model=model,
        provider=PROVIDER,
        input=usage.input,
        output=usage.output,
        cache_read=usage.cache_read,
        cache_write=usage.cache_write,
        reasoning=usage.reasoning,
        cost_usd=micro_usd / MICRO,
        at_ns=at_ns,
        sign_seq=1,
    )
    return Outgoing(USAGE, join_key(case.tenant), encode_usage(record), {TENANT_HEADER: case.tenant.encode()})


def _to_owner(case: Case, message: Reserve | Settle) -> Outgoing:
    return Outgoing(JUDGE_BUDGET, join_key(case.tenant), encode_purse(message), {TENANT_HEADER: case.tenant.encode()})
