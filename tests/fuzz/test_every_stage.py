"""Any requests through every stage down to the store: no stage stumbles, and none refuses what another wrote."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from every_stage import EveryStage
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from seeds import RECORDED, recorded
from structured import altered, generated, mutated

from collector.receivers.signals import LOGS, METRICS, TRACES
from schemas.topics import DETECTIONS, OTLP_LOGS, OTLP_METRICS, OTLP_SPANS
from sinks.store import Store

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store(f"chdb:///{tmp_path_factory.mktemp('fuzzed') / 'store'}")
    yield opened
    opened.close()


def newest() -> int:
    """Say when the last of the recorded spans ended, Unix ns."""
    requests: list[Any] = [TRACES.request.FromString(body) for body in recorded(TRACES)]
    return max(
        int(span.end_time_unix_nano)
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    )


def proper_or_damaged(signal: Any) -> st.SearchStrategy[bytes]:
    proper = (altered(signal) | generated(signal)).map(lambda made: bytes(made.SerializeToString()))
    return proper | mutated(proper)


sent = st.lists(
    st.tuples(st.just(OTLP_SPANS), proper_or_damaged(TRACES))
    | st.tuples(st.just(OTLP_LOGS), proper_or_damaged(LOGS))
    | st.tuples(st.just(OTLP_METRICS), proper_or_damaged(METRICS)),
    min_size=1,
    max_size=4,
)


@given(sent, st.sampled_from((1, 90, 4_000)))
@settings(
    deadline=None,
    max_examples=40,
    phases=(Phase.reuse, Phase.generate),  # what is found is not made smaller: that takes minutes
    suppress_health_check=[HealthCheck.too_slow],
)
def test_any_requests_go_through_every_stage(store: Store, records: list[tuple[str, bytes]], seconds: int) -> None:
    stages = EveryStage(store, newest())
    stages.send(records)
    stages.wait(seconds)
    stages.send(records[:1])
    stages.wait(4_000)
    assert stages.put_aside() == []


def test_a_loop_that_was_recorded_is_detected_on_the_way(store: Store) -> None:
    """Else little of what stands behind the detectors would be reached above."""
    stages = EveryStage(store, newest())
    for file in sorted((RECORDED / "strands-loop").glob("*traces*.binpb")):
        stages.send([(OTLP_SPANS, file.read_bytes())])
    stages.wait(4_000)
    assert stages.documents(DETECTIONS)
    assert stages.put_aside() == []
