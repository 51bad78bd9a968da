"""Makes the parts of a pipeline from its settings, for the roles a process runs; nothing is started here.

What only some roles need is imported where it is made, so that a process starts with no more than its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from collector.admission import Admission, resident_bytes
from collector.detector_stages import detector_stages
from collector.judging import JUDGE, judge_stages, why_off
from collector.looking import second_look_stages, takes_second_looks
from collector.memory_shares import SMALLEST_QUEUE_BYTES, MemoryShares
from collector.opened_bus import open_bus
from collector.processor_groups import DETECTORS, EMBEDDING, RUN_TRACKER
from collector.receivers.api_keys import ApiKeys
from collector.roles import HEALING, NORMALISER, POLICIES, PROCESSORS, RECEIVERS, SINKS, Roles, enabled
from collector.stores import embeds_store, layout, open_store, store_dsn
from collector.webhooks import is_webhook, make_webhook
from config.settings import MIB, Settings
from healing.policy_board import PolicyBoard
from processors.judging.reading import JUDGE as JUDGE_NEXT
from processors.judging.reading import TAKEN
from schemas.topics import OTLP_SPANS

if TYPE_CHECKING:
    from aiohttp import web

    from collector.receivers.otlp import OtlpReceiver
    from collector.stage_threads import MakeStage
    from processors.runs.thresholds import Thresholds
    from processors.spending.budgets import Budgets
    from processors.spending.model_catalogue import PricedModels
    from sinks.clickhouse_http import ClickHouseHttp
    from sinks.store import Store
    from sinks.store_watch import StoreWatch

    Route = tuple[str, Callable[[web.Request], Any]]

DRAIN_ORDER = (
    "normaliser",
    DETECTORS,
    EMBEDDING,
    RUN_TRACKER,
    "spend",
    "healing_router",
    "healing",
    "review_requests",
    "review_answers",
    "policy_endpoint",
    "thresholds",
    "sinks/clickhouse",
    "second_look",
    "llm_judge",
    "judge_budget",
)
"""A span's way through the stages. The judge comes last: it may wait for calls as long as there is time."""

HEADS_PART = 8
"""A part of what may be held of runs in memory is for what the run tracker holds of them."""


class Assembly:
    """The parts of one process. `memory`: what each may take, also of processes beside this one.

    `retains`: whether its bus removes what every group here has read, or nothing yet. `resident` measures the memory
    of the whole program in bytes, of all its processes.
    """

    def __init__(
        self,
        settings: Settings,
        roles: Roles,
        memory: MemoryShares,
        retains: bool = True,
        resident: Callable[[], int] = resident_bytes,
    ) -> None:
        self._settings = settings
        self._memory = memory
        self._roles = roles
        self._resident = resident
        queue_bytes = max(SMALLEST_QUEUE_BYTES, memory.doors)
        self.bus = open_bus(settings, None if retains else (), queue_bytes)
        self._tasks = self.bus.partitions(OTLP_SPANS) if settings.bus.kafka is not None else 1
        """How many tasks a group has, at most all of them in this process."""
        api_keys = settings.extensions.get("api_keys")
        self._keys = ApiKeys(api_keys.keys if api_keys is not None else ())
        self._policies = PolicyBoard()

    @cached_property
    def receivers(self) -> list[OtlpReceiver]:
        """Give the doors, made the first time."""
        return list(self._receivers())

    @cached_property
    def servers(self) -> list[ClickHouseHttp]:
        """Give the servers beside the doors, made the first time."""
        return list(self._servers())

    def stages(self) -> list[tuple[str, MakeStage]]:
        """Give what makes the stages, in the order they are started: back to front."""
        return [*self._sinks(), *self._healing(), *self._processors(), *self._normaliser()]

    def routes(self) -> Sequence[Route]:
        """Give what the HTTP server answers besides health and metrics."""
        from collector.detections_stream import DetectionsStream
        from collector.http_api import TenantOf
        from healing import policy_http

        tenant_of = TenantOf(self._keys)
        handler = policy_http.policy_handler(self._policies, self.bus.now_ns, tenant_of)
        stream = DetectionsStream(self.bus, tenant_of).handle
        return [("/v1/detections/stream", stream), *((path, handler) for path in policy_http.PATHS)]

    def close(self) -> None:
        """Close the bus."""
        self.bus.close()

    # --- parts ---

    def _receivers(self) -> Iterator[OtlpReceiver]:
        if not self._roles.runs(RECEIVERS):
            return
        from collector.receivers.intake import Intake
        from collector.receivers.otlp import OtlpReceiver

        admission = Admission(
            self._settings.service.memory_limit_mib * MIB,
            self._resident,
            unread=self.bus.backlog_bytes,
            tenants=len(self._keys.tenants),
            drained=self.bus.drained_bytes_a_second,
            programs=self._memory.programs,
        )
        for name in self._enabled("receivers"):
            intake = Intake(self.bus, admission, name, self._memory.record, self._memory.batch)
            yield OtlpReceiver(self._settings.receivers[name], intake, self._keys)

    def _normaliser(self) -> Iterator[tuple[str, MakeStage]]:
        if self._roles.runs(NORMALISER):
            from collector.normalise.normaliser import Normaliser
            from collector.normalise.traces import TraceBounds

            bounds = TraceBounds(in_memory_bytes=self._part(self._memory.traces), trace_bytes=self._memory.trace)
            window = self._settings.bus.repeat_window_seconds
            make = partial(Normaliser, window, bounds=bounds, partitions=self.bus.partitions)
            yield Normaliser.group, make

    def _processors(self) -> Iterator[tuple[str, MakeStage]]:
        if not any(self._runs_processor(name) for name in self._settings.processors):
            return
        from processors.runs.thresholds import Thresholds
        from processors.spending.model_catalogue import PricedModels
        from processors.spending.spend import SpendStage

        models = PricedModels(self._settings.models)
        wanted = [name for name in self._enabled("processors") if name != JUDGE]
        heads = self._part(self._memory.runs) // HEADS_PART if self._runs_processor(RUN_TRACKER) else 0
        memory_bytes = self._part(self._memory.runs) - heads
        thresholds = Thresholds()
        yield from detector_stages(
            self._settings, wanted, self._roles, models, self.bus.now_ns, memory_bytes, self._tasks, thresholds
        )
        if heads:
            yield self._run_tracker(models, heads, thresholds)
        budgets = self._budgets()
        if budgets is not None:
            yield SpendStage.group, partial(SpendStage, budgets, self.bus.now_ns)
        yield from self._upper_tiers(models)

    def _run_tracker(self, models: PricedModels, memory_bytes: int, thresholds: Thresholds) -> tuple[str, MakeStage]:
        from processors.run_tracker import RunTracker

        service = self._settings.service
        times = (service.run_idle_seconds, service.run_abandon_seconds)
        make = partial(RunTracker, models, memory_bytes, *times, service.lateness_steps, thresholds=thresholds)
        return RunTracker.group, make

    def _upper_tiers(self, models: PricedModels) -> Iterator[tuple[str, MakeStage]]:
        """Make what looks at grey findings; steps that these may name are kept by each of the two."""
        looks = takes_second_looks(self._settings)
        memory_bytes = self._memory.judge // 2 if looks else self._memory.judge
        if looks and self._runs_processor(EMBEDDING):
            yield from second_look_stages(self._settings, self.bus, memory_bytes, self._tasks)
        if self._runs_processor(JUDGE):
            config = self._settings.processors[JUDGE]
            taken = (JUDGE_NEXT,) if looks else TAKEN
            yield from judge_stages(config, models, self.bus, memory_bytes, self._tasks, taken)

    def _runs_processor(self, name: str) -> bool:
        return name in self._enabled("processors") and self._roles.runs(PROCESSORS, name)

    def _budgets(self) -> Budgets | None:
        if not self._runs_processor("cost"):
            return None
        budgets: Budgets = self._settings.processors["cost"].budgets
        return budgets if budgets.agent_hour_usd or budgets.tenant_day_usd else None

    def _sinks(self) -> Iterator[tuple[str, MakeStage]]:
        for name in self._enabled("sinks"):
            if not self._roles.runs(SINKS, name):
                continue
            if is_webhook(name):
                yield f"sinks/{name}", make_webhook(name, self._settings.sinks[name])
            else:
                from sinks.clickhouse import ClickHouseSink

                sink = self._settings.sinks[name]
                window = self._settings.bus.repeat_window_seconds
                opened = partial(open_store, self._settings, self._memory.store)
                limits = (sink.max_rows, sink.flush_seconds, window, layout(sink).days)
                watch = self._watch(opened, sink.check_every_seconds, window, layout(sink).days)
                make = partial(ClickHouseSink, opened, *limits, partitions=self.bus.partitions, watch=watch)
                yield ClickHouseSink.group, make

    def _watch(
        self, opened: Callable[[], Store], every_seconds: float, window: float, kept_days: int
    ) -> StoreWatch | None:
        """Make what looks after the store; a server looks after its own."""
        if not embeds_store(self._settings):
            return None
        from collector.bus.embedded import EmbeddedBus
        from sinks.clickhouse import ClickHouseSink
        from sinks.replay import Replay
        from sinks.store_watch import StoreWatch

        history = self.bus if isinstance(self.bus, EmbeddedBus) else None
        replay = Replay(history, ClickHouseSink.group, window, kept_days) if history is not None else None
        return StoreWatch(opened, replay, every_seconds)

    def _healing(self) -> Iterator[tuple[str, MakeStage]]:
        healing = self._settings.healing
        if healing.enabled and self._roles.runs(HEALING):
            from healing.consumer import HealingConsumer
            from healing.gate import GateSettings
            from healing.router import HealingRouter

            gate = GateSettings(healing.dry_run, healing.min_confidence, healing.max_age_seconds)
            yield HealingRouter.group, HealingRouter
            yield HealingConsumer.group, partial(HealingConsumer, gate)
        if self._roles.runs(HEALING):
            yield from self._reviews(healing.reviews_per_hour)
        if self._roles.runs(POLICIES):
            yield PolicyBoard.group, lambda: self._policies

    def _reviews(self, per_hour: int) -> Iterator[tuple[str, MakeStage]]:
        """Make what asks people about detections, of a tenant so often an hour over all tasks, and takes answers."""
        if not per_hour:
            return
        from healing.review_answers import ReviewAnswers
        from healing.review_requests import ReviewRequests

        is_judged = JUDGE in self._enabled("processors") and not why_off(self._settings)
        yield ReviewRequests.group, partial(ReviewRequests, max(1, per_hour // self._tasks), is_judged)
        yield ReviewAnswers.group, ReviewAnswers

    def _servers(self) -> Iterator[ClickHouseHttp]:
        door = self._settings.extensions.get("clickhouse_http")
        if door is not None and door.enabled and embeds_store(self._settings) and self._roles.runs(SINKS):
            from sinks.clickhouse_http import ClickHouseHttp

            yield ClickHouseHttp(door.endpoint, store_dsn(self._settings))

    # --- settings ---

    def _part(self, memory_bytes: int) -> int:
        """Give what one task may take of what all tasks of a group may."""
        return memory_bytes // self._tasks

    def _enabled(self, section: str) -> list[str]:
        """List the components of a section that run."""
        return enabled(self._settings, section)

    @staticmethod
    def drain_order(group: str) -> int:
        """Say when a stage is drained: in the order of a span's way."""
        known = DETECTORS if group.startswith(f"{DETECTORS}/") else group
        return DRAIN_ORDER.index(known) if known in DRAIN_ORDER else len(DRAIN_ORDER)
