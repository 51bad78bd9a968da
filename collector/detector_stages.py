"""The stages that run detectors: one group for those that read steps alone, one for those that read vectors too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from collector.roles import PROCESSORS, Roles
from config.settings import Settings

if TYPE_CHECKING:
    from collector.stage_threads import MakeStage
    from processors.detector import Embedder
    from processors.model_catalogue import PricedModels
    from processors.runtime import Runtime

DETECTORS = "processors"
EMBEDDING = "embedding_similarity"
"""The group of the detectors that read vectors, and what makes these for them."""


def detector_stages(
    settings: Settings,
    enabled: Sequence[str],
    roles: Roles,
    models: PricedModels,
    now_ns: Callable[[], int],
    memory_bytes: int,
    tasks: int,
) -> Iterator[tuple[str, MakeStage]]:
    """Make the stages of the processors that are enabled and that these roles run.

    `memory_bytes`: what the runs in memory may take of all of them, in one of so many `tasks`.
    """
    names = _names(settings, enabled, roles)
    groups = {group: own for group, own in names.items() if own}
    for group, own in groups.items():
        make = partial(_runtime, group, own, settings, models, now_ns, memory_bytes // len(groups), tasks)
        yield group, make


def _names(settings: Settings, enabled: Sequence[str], roles: Roles) -> dict[str, list[str]]:
    """List the detectors of each group; without what makes vectors none of those that read them runs."""
    from collector.components import detector_class

    embedding = settings.processors.get(EMBEDDING)
    names: dict[str, list[str]] = {DETECTORS: [], EMBEDDING: []}
    for name in enabled:
        if name == EMBEDDING:
            continue
        group = EMBEDDING if detector_class(_kind(name)).reads_vectors else DETECTORS
        runs = roles.runs(PROCESSORS, name) or (group == EMBEDDING and roles.runs(PROCESSORS, EMBEDDING))
        if runs and (group == DETECTORS or embedding is None or embedding.enabled):
            names[group].append(name)
    return names


def _runtime(
    group: str,
    names: Sequence[str],
    settings: Settings,
    models: PricedModels,
    now_ns: Callable[[], int],
    memory_bytes: int,
    tasks: int,
) -> Runtime:
    """Make one stage, with what makes vectors of its own: that is for one thread."""
    from collector.components import detector_class
    from processors.runtime import Runtime
    from processors.usage import Biller

    service = settings.service
    embedder = _embedder(settings, tasks) if group == EMBEDDING else None
    return Runtime(
        group,
        [detector_class(_kind(name))(settings.processors[name], models, embedder) for name in names],
        now_ns,
        Biller(models) if "cost" in names else None,
        service.run_idle_seconds,
        service.run_abandon_seconds,
        service.lateness_seconds,
        service.lateness_steps,
        in_memory_bytes=memory_bytes,
    )


def _embedder(settings: Settings, tasks: int) -> Embedder:
    from processors.embedding_similarity import EmbeddingSettings
    from processors.static_embedder import StaticEmbedder

    made = settings.processors.get(EMBEDDING) or EmbeddingSettings()
    return StaticEmbedder(EmbeddingSettings(cache_bytes=made.cache_bytes // tasks))


def _kind(name: str) -> str:
    return name.split("/", 1)[0]
