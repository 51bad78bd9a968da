"""How many processes `service::memory_limit_mib` has room for, before anything is started.

With too little the program would start, hold more than its limit with nothing to do, and refuse every request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from collector.memory_shares import needed_mib
from collector.process_plan import AUTO, PLANS, Part, parts
from collector.roles import SINKS, Roles
from collector.stores import embeds_store
from config.settings import Settings

LIMIT = "service::memory_limit_mib"


class LimitTooLowError(ValueError):
    """The memory limit is below what the program needs at rest; says limit, need, and what to set."""


class Fitting(NamedTuple):
    """The processes beside the first one; `note`: why they are fewer than the cores would have, empty where not."""

    others: tuple[Part, ...]
    note: str = ""


def fitting(settings: Settings, only: Sequence[str] = ()) -> Fitting:
    """Choose processes that the limit has room for: fewer where `auto` lets us; raises LimitTooLowError."""
    limit, store = settings.service.memory_limit_mib, holds_store(settings, Roles(only))
    wanted = () if only else parts(settings.service.processes)
    if limit >= needed_mib(1 + len(wanted), store):
        return Fitting(wanted)
    if settings.service.processes == AUTO:
        for count in range(len(wanted), 0, -1):
            if limit >= needed_mib(count, store):
                return Fitting(PLANS[count], _fewer(limit, count, 1 + len(wanted), store))
        wanted = ()
    raise LimitTooLowError(_too_low(limit, 1 + len(wanted), store))


def holds_store(settings: Settings, roles: Roles) -> bool:
    """Say whether a pipeline of these roles has the embedded store in one of its processes."""
    return embeds_store(settings) and roles.runs(SINKS)


def _fewer(limit: int, count: int, wanted: int, store: bool) -> str:
    instead = f"running as {_processes(count)} instead of {wanted}, which need {needed_mib(wanted, store)}"
    return f"{LIMIT} is {limit}: {instead}"


def _too_low(limit: int, count: int, store: bool) -> str:
    need, least = needed_mib(count, store), needed_mib(1, store)
    what = f"{_processes(count)}{' with the embedded store' if store else ''}"
    instead = [f"{LIMIT} to {need} or more"]
    if limit >= least and count > 1:
        instead.append(f"service::processes to 1 (needs {least})")
    elif store and limit >= needed_mib(1, embedded_store=False):
        instead.append("sinks::clickhouse::dsn to a ClickHouse server, which has its own memory")
    where = f"{LIMIT} is {limit} (70 % of the machine's memory where nothing is set)"
    return f"{where}, and {what} cannot work with less than {need} MiB: set {', or '.join(instead)}"


def _processes(count: int) -> str:
    return "one process" if count == 1 else f"{count} processes"
