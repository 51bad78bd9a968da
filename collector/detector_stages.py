"""The stages that run detectors, one for each of their groups."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from collector.processor_groups import DETECTORS, EMBEDDING, RUN_TRACKER, groups_here
from collector.roles import PROCESSORS, Roles
from config.settings import Settings
from schemas.metrics import DETECTOR_READINESS

if TYPE_CHECKING:
    from collector.stage_threads import MakeStage
    from processors.detector import Embedder
    from processors.runs.thresholds import Thresholds
    from processors.runtime import Runtime
    from processors.spending.model_catalogue import PricedModels


def detector_stages(
    settings: Settings,
    enabled: Sequence[str],
    roles: Roles,
    models: PricedModels,
    now_ns: Callable[[], int],
    memory_bytes: int,
    tasks: int,
    thresholds: Thresholds,
) -> Iterator[tuple[str, MakeStage]]:
    """Make the stages of the processors that are enabled and that these roles run, and what follows `thresholds`.

    `memory_bytes`: what the runs in memory may take of all of them, in one of so many `tasks`.
    """
    groups = groups_here(settings, enabled, roles)
    tracked = RUN_TRACKER in enabled and roles.runs(PROCESSORS, RUN_TRACKER)
    if groups or tracked:
        yield _board([*groups, *([RUN_TRACKER] if tracked else [])], thresholds)
    for group, own in groups.items():
        make = partial(_runtime, group, own, settings, models, now_ns, memory_bytes // len(groups), tasks, thresholds)
        yield group, make


def detectors_ready(settings: Settings, enabled: Sequence[str], roles: Roles) -> Mapping[str, str]:
    """Say how ready each detector is that these roles run, by labelled runs (`processors/readiness.py`)."""
    from processors.readiness import readiness

    here = sorted(name for members in groups_here(settings, enabled, roles).values() for name in members)
    return {name: readiness(_kind(name)) for name in here}


def _runtime(
    group: str,
    names: Sequence[str],
    settings: Settings,
    models: PricedModels,
    now_ns: Callable[[], int],
    memory_bytes: int,
    tasks: int,
    thresholds: Thresholds,
) -> Runtime:
    """Make one stage, with what makes vectors of its own: that is for one thread."""
    from collector.components import detector_class
    from processors.readiness import readiness
    from processors.runtime import Runtime
    from processors.spending.usage import Biller

    for name in names:
        DETECTOR_READINESS.labels(detector=name, level=readiness(_kind(name))).set(1)
    service = settings.service
    classes = {name: detector_class(_kind(name)) for name in names}
    embedder = _embedder(settings, tasks) if any(found.reads_vectors for found in classes.values()) else None
    return Runtime(
        group,
        [found(settings.processors[name], models, embedder) for name, found in classes.items()],
        now_ns,
        Biller(models) if "cost" in names else None,
        service.run_idle_seconds,
        service.run_abandon_seconds,
        service.lateness_seconds,
        service.lateness_steps,
        in_memory_bytes=memory_bytes,
        thresholds=thresholds,
    )


def _board(groups: Collection[str], thresholds: Thresholds) -> tuple[str, MakeStage]:
    """Make what follows the thresholds, as a group that no other process is in: each reads all of them."""
    from processors.threshold_board import ThresholdBoard

    group = "thresholds" if DETECTORS in groups else f"thresholds/{min(groups)}"
    return group, partial(ThresholdBoard, group, thresholds)


def _embedder(settings: Settings, tasks: int) -> Embedder:
    from processors.embedding_similarity import EmbeddingSettings
    from processors.meaning.static_embedder import StaticEmbedder

    made = settings.processors.get(EMBEDDING) or EmbeddingSettings()
    return StaticEmbedder(EmbeddingSettings(cache_bytes=made.cache_bytes // tasks))


def _kind(name: str) -> str:
    return name.split("/", 1)[0]
