"""Which detectors share a consumer: `service::groups`, and what of a configuration cannot be.

A group reads every step once for all its detectors. Detectors of different groups may be in different processes, and
find the same as they would together.

SplitGroupError    never: a process was asked to run some detectors of a group, and steps that it read would be lost
                   to the others
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from collector.judging import JUDGE
from collector.roles import PROCESSORS, Roles
from config.problems import Path, nearest
from config.settings import Settings

DETECTORS = "processors"
"""The group of the detectors that stand in no other."""
EMBEDDING = "embedding_similarity"
"""What makes vectors for the detectors that read them; on Kafka also the group of those that stand in no other."""
RUN_TRACKER = "run_tracker"
"""The group, and the processor, that sums runs up."""
NOT_GROUPED = (JUDGE, EMBEDDING, RUN_TRACKER)


class SplitGroupError(ValueError):
    """A group that would be run in part; says which, and what to do."""

    def __init__(self, group: str, here: Sequence[str], members: Sequence[str]) -> None:
        named = " ".join(f"--only processors/{name}" for name in members)
        one = here[0]
        super().__init__(
            f"processors/{one} shares the group {group!r} with others that were not asked for "
            f"(its members: {', '.join(members)}): run them together ({named}), "
            f"or give it a group of its own: --set 'service::groups::{one}=[{one}]', for every process of the pipeline"
        )


def groups_of(settings: Settings, enabled: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """List the detectors of each group; without what makes vectors there are none of those that read them.

    On the embedded bus, where one program runs all of them, these share the others' group: a step is then decoded,
    placed and stored once, a text is masked once. On Kafka they are a role by themselves.
    """
    from collector.components import detector_class

    embedding = settings.processors.get(EMBEDDING)
    of_meaning = DETECTORS if settings.bus.kafka is None else EMBEDDING
    own = {name: f"{DETECTORS}/{group}" for group, names in settings.service.groups.items() for name in names}
    groups: dict[str, list[str]] = {}
    for name in enabled:
        if name in NOT_GROUPED:
            continue
        reads_vectors = detector_class(name.split("/", 1)[0]).reads_vectors
        if reads_vectors and embedding is not None and not embedding.enabled:
            continue
        groups.setdefault(own.get(name) or (of_meaning if reads_vectors else DETECTORS), []).append(name)
    return groups


def groups_here(settings: Settings, enabled: Sequence[str], roles: Roles) -> Mapping[str, Sequence[str]]:
    """List the groups that these roles run; raises SplitGroupError for one that they would run in part."""
    found: dict[str, Sequence[str]] = {}
    for group, members in groups_of(settings, enabled).items():
        everything = group == EMBEDDING and roles.runs(PROCESSORS, EMBEDDING)
        here = [name for name in members if everything or roles.runs(PROCESSORS, name)]
        if here and len(here) < len(members):
            raise SplitGroupError(group, here, members)
        if here:
            found[group] = members
    return found


def wrong_groups(settings: Settings) -> Iterator[tuple[Path, str]]:
    """Find what is wrong with `service::groups`: names that are no detectors, and detectors in two groups."""
    known = [name for name in settings.processors if name not in NOT_GROUPED]
    seen: dict[str, str] = {}
    for group, names in settings.service.groups.items():
        for index, name in enumerate(names):
            path = ("service", "groups", group, str(index))
            if name in NOT_GROUPED:
                yield path, f"{name} has a group of its own, always"
            elif name not in known:
                yield path, f"{name!r} is not configured under processors; {nearest(name, known)}"
            elif name in seen:
                yield path, f"{name!r} is in the group {seen[name]!r} already"
            seen[name] = group
