"""Follows the compacted topic `thresholds`: every process that publishes detections knows all of them.

A process that starts reads them from the oldest on while its detectors already work, so in its first moments it may
tell what a threshold holds back.
"""

from __future__ import annotations

from collections.abc import Sequence

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State, StateChange
from processors.runs.thresholds import Thresholds
from schemas.healing import UnreadableDocument
from schemas.keys import DEFAULT_TENANT
from schemas.metrics import THRESHOLDS_IGNORED
from schemas.people import Threshold, read_threshold, threshold_key
from schemas.topics import TENANT_HEADER, THRESHOLDS

STORE = "thresholds"


class ThresholdBoard:
    """Reads `thresholds` into what publishers look at. `group`: one of its own in each process."""

    topics: Sequence[str] = (THRESHOLDS,)
    everywhere = True

    def __init__(self, group: str, thresholds: Thresholds) -> None:
        self.group = group
        self._thresholds = thresholds

    def restore(self, state: State) -> None:
        """Read the committed thresholds."""
        self._thresholds.restore(read_threshold(value) for _, value in state.scan(STORE))

    def handle(self, batch: Batch, state: State) -> Handled:  # noqa: ARG002  # what is committed is in memory
        """Take newer thresholds over."""
        outputs: list[Outgoing] = []
        changes: dict[str, StateChange] = {}
        for record in batch.records:
            try:
                said = _of(record)
            except UnreadableDocument as error:
                outputs.append(dead_letter(record, error, self.group))
                continue
            if self._thresholds.take(said):
                changes[threshold_key(said)] = StateChange(STORE, threshold_key(said), record.value)
            else:
                THRESHOLDS_IGNORED.labels(reason=self._why_not(said)).inc()
        return Handled(outputs, list(changes.values()))

    def _why_not(self, said: Threshold) -> str:
        return "older" if self._thresholds.newest(said.tenant, said.detector, said.framework) else "too_many"


def _of(record: Record) -> Threshold:
    """Read a threshold; raises UnreadableDocument for what is none, or is another tenant's."""
    said = read_threshold(record.value)
    if record.headers.get(TENANT_HEADER, DEFAULT_TENANT.encode()) != said.tenant.encode("utf-8", "replace"):
        raise UnreadableDocument("the record's tenant is not the document's")
    return said
