"""Requests of every shape, whole and damaged: read or refused, split whole, normalised, and never anything else."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st
from seeds import as_json, recorded, seeds
from structured import altered, generated, mutated
from targets import MARK, TARGETS, normalised, split_is_whole

from collector.receivers.signals import LOGS, SIGNALS, TRACES, Signal
from schemas.topics import OTLP_LOGS, OTLP_SPANS

signals = st.sampled_from(SIGNALS)


@st.composite
def of_any_signal(draw: Any) -> tuple[Signal, Any]:
    signal = draw(signals)
    kinds = [generated(signal)] + ([altered(signal)] if recorded(signal) else [])
    return signal, draw(st.one_of(kinds))


@given(of_any_signal(), st.integers(1, 16), st.floats(0, 1.1))
@settings(deadline=None)
def test_the_parts_of_any_request_are_the_request(made: tuple[Signal, Any], partitions: int, share: float) -> None:
    """A record may take a share of the request, down to none that any item fits into."""
    signal, request = made
    body = request.SerializeToString()
    split_is_whole(signal, request, body, partitions, int(share * len(body)))


@given(mutated(of_any_signal().map(lambda made: bytes(made[1].SerializeToString()))), signals)
@settings(deadline=None)
def test_the_parts_of_a_damaged_request_that_still_parses_are_that_request(body: bytes, signal: Signal) -> None:
    TARGETS["protobuf_intake"](body + MARK[signal.name])


@given(of_any_signal(), st.data())
@settings(deadline=None)
def test_a_request_as_json_is_read_or_refused_whole_or_damaged(made: tuple[Signal, Any], data: st.DataObject) -> None:
    signal, request = made
    written = as_json(signal, request.SerializeToString())
    TARGETS["otlp_json"](written + MARK[signal.name])
    TARGETS["otlp_json"](data.draw(mutated(st.just(written))) + MARK[signal.name])


@given(st.lists(altered() | generated(), min_size=1, max_size=3), st.lists(altered(LOGS), max_size=1))
@settings(deadline=None)
def test_any_requests_are_normalised(spans: list[Any], logs: list[Any]) -> None:
    records = [(OTLP_SPANS, one.SerializeToString()) for one in spans]
    steps = normalised(records + [(OTLP_LOGS, one.SerializeToString()) for one in logs])
    known = {span.trace_id.hex() for one in spans for span in _spans(one)}
    assert {step.trace_id for step in steps} <= known


def _spans(request: Any) -> list[Any]:
    return [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.data())
@settings(deadline=None)
def test_what_a_target_starts_from_is_taken_damaged_as_well(name: str, data: st.DataObject) -> None:
    TARGETS[name](data.draw(mutated(st.sampled_from(list(seeds(name))))))


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary(max_size=400))
@settings(deadline=None)
def test_any_bytes_are_taken(name: str, data: bytes) -> None:
    TARGETS[name](data)


def test_the_seeds_are_what_the_targets_read() -> None:
    for signal in SIGNALS:
        for body in recorded(signal):
            signal.request.FromString(body)
    with pytest.raises(DecodeError):
        TRACES.request.FromString(b"\xff")
