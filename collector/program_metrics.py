"""The metrics of all processes of a pipeline as those of one program.

Counters and histograms are added up, with what processes that died had last reported, so that they never go back;
gauges are added up over those that live. What a process counted in the second before it was killed is not in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import REGISTRY, Metric

from collector.process_link import Family

COUNTED = frozenset({"counter", "unknown", "histogram", "summary"})
"""Types that only grow; `unknown` is what our own counters are exposed as."""
OF_ONE_PROCESS = ("python_", "process_start_time", "process_max_fds", "process_virtual_memory")
"""Beginnings of names that make no sense added up."""

Key = tuple[str, tuple[tuple[str, str], ...]]


def own_families() -> list[Family]:
    """Read the metrics of this process."""
    return [
        Family(
            metric.name,
            metric.documentation,
            metric.type,
            [(sample.name, dict(sample.labels), sample.value) for sample in metric.samples],
        )
        for metric in REGISTRY.collect()
    ]


class Retired:
    """What processes that are gone had counted."""

    def __init__(self) -> None:
        self.families: list[Family] = []

    def add(self, families: Iterable[Family]) -> None:
        """Keep what a process that is gone had counted."""
        counted = [family for family in families if family.type in COUNTED]
        self.families = added_up([self.families, counted])


class ProgramMetrics:
    """A registry to be written out: this process, and what others last reported."""

    def __init__(self, others: Sequence[Sequence[Family]]) -> None:
        self._others = others

    def collect(self) -> Iterable[Metric]:
        """Give every metric, added up."""
        own = own_families()
        others = [
            [family for family in families if not family.name.startswith(OF_ONE_PROCESS)] for families in self._others
        ]
        for family in added_up([own, *others]):
            metric = Metric(family.name, family.documentation, family.type)
            for name, labels, value in family.samples:
                metric.add_sample(name, labels, value)
            yield metric


def added_up(reports: Iterable[Iterable[Family]]) -> list[Family]:
    """Add up what several processes report, metric by metric and label by label."""
    heads: dict[str, Family] = {}
    totals: dict[str, dict[Key, float]] = {}
    for family in (family for families in reports for family in families):
        heads.setdefault(family.name, family)
        into = totals.setdefault(family.name, {})
        for name, labels, value in family.samples:
            key = (name, tuple(sorted(labels.items())))
            into[key] = value if name.endswith("_created") else into.get(key, 0.0) + value
    return [
        Family(
            name, head.documentation, head.type, [(key[0], dict(key[1]), value) for key, value in totals[name].items()]
        )
        for name, head in heads.items()
    ]
