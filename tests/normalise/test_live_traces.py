"""What the normaliser waits for is bounded: by time, by count, and what it lets go is counted by reason."""

from __future__ import annotations

from normaliser_drive import NormaliserDrive
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from collector.normalise.traces import EXPANSION, TRACES, TraceBounds
from schemas.metrics import CACHE_EVICTED, NORMALISER_EVICTED
from schemas.topics import OTLP_SPANS


def span_of(trace: int, span: int = 1) -> tuple[str, bytes]:
    request = ExportTraceServiceRequest()
    found = request.resource_spans.add().scope_spans.add().spans.add()
    found.trace_id, found.span_id = trace.to_bytes(16, "big"), (trace * 100 + span).to_bytes(8, "big")
    found.name, found.start_time_unix_nano, found.end_time_unix_nano = "execute_tool search", span, span + 1
    found.attributes.add(key="gen_ai.operation.name").value.string_value = "execute_tool"
    found.attributes.add(key="gen_ai.tool.name").value.string_value = "search"
    return OTLP_SPANS, request.SerializeToString()


def evicted(reason: str) -> float:
    return float(NORMALISER_EVICTED.labels(what="trace", reason=reason)._value.get())


def test_a_trace_that_has_been_quiet_for_half_an_hour_leaves_nothing_behind() -> None:
    drive, before = NormaliserDrive(), evicted("quiet")
    drive.send(span_of(1), span_of(1, 2))
    drive.wait(1_000)
    drive.send(span_of(2))
    drive.wait(1_000)
    drive.send()
    assert drive.state.count("traces") == 1
    assert drive.state.count("kin") == 1
    assert evicted("quiet") == before + 1


def test_a_trace_that_is_due_and_speaks_again_stays() -> None:
    drive = NormaliserDrive()
    drive.send(span_of(1))
    drive.wait(2_000)
    drive.send(span_of(1, 2))
    assert drive.state.count("kin") == 2


def test_beyond_the_cap_the_traces_quiet_for_longest_go_first() -> None:
    drive, before = NormaliserDrive(bounds=TraceBounds(live=10)), evicted("cap")
    for trace in range(1, 31):
        drive.send(span_of(trace))
    held = {int(key.split("/")[1], 16) for key, _ in drive.state.scan("traces")}
    assert held <= set(range(20, 31))
    assert len(held) in (10, 11)
    assert evicted("cap") == before + 30 - len(held)
    assert len(drive.steps()) == 30


def test_a_flood_of_traces_in_one_batch_is_worked_off_by_the_next_ones() -> None:
    drive = NormaliserDrive(bounds=TraceBounds(live=10))
    drive.send(*(span_of(trace) for trace in range(1, 401)))
    for _ in range(10):
        drive.send()
    assert drive.state.count("traces") == 10


def test_the_count_outlives_a_restart() -> None:
    drive = NormaliserDrive(bounds=TraceBounds(live=10))
    for trace in range(1, 31):
        drive.send(span_of(trace))
        drive.restart()
    assert drive.state.count("traces") in (10, 11)


def out_of_memory(reason: str) -> float:
    return float(CACHE_EVICTED.labels(cache=TRACES, reason=reason)._value.get())


def test_what_is_held_in_memory_is_bounded_by_its_bytes_and_read_again_when_a_trace_speaks() -> None:
    drive, before = NormaliserDrive(bounds=TraceBounds(in_memory_bytes=EXPANSION * 2_000)), out_of_memory("bytes")
    for trace in range(1, 101):
        drive.send(span_of(trace))
    assert out_of_memory("bytes") - before > 80
    drive.send(span_of(1, 2))
    assert drive.state.count("kin") == 101
    assert len(drive.steps()) == 101


def test_a_trace_that_is_too_large_lets_its_oldest_steps_be_final() -> None:
    drive = NormaliserDrive(bounds=TraceBounds(trace_bytes=EXPANSION * 10_000))
    final = NORMALISER_EVICTED.labels(what="step", reason="bytes")._value
    before = final.get()
    for span in range(1, 201):
        drive.send(span_of(1, span))
    assert final.get() > before
    assert sum(len(value) for _, value in drive.state.scan("kin")) < 12_000
    assert len(drive.steps()) == 200
