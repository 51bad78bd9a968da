"""What records become in the store, and that nothing a record holds keeps a batch from being stored."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import astuple
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from stored_spans import DAY, NOW, EmptyState, numbers_of, record_of, request_of

from collector.bus.protocol import Batch, Handled, Record
from schemas import topics
from schemas.step import Step
from schemas.steps_codec import encode_steps
from schemas.usage import UsageRecord, encode_usage, taken_back
from sinks import reading
from sinks.clickhouse import TOPICS, ClickHouseSink
from sinks.step_rows import STEP_COLUMNS, read_step, step_columns
from sinks.store import Store


@pytest.fixture
def sink(store: Store) -> ClickHouseSink:
    made = ClickHouseSink(lambda: store)
    made.restore(EmptyState())
    return made


def deliver(sink: ClickHouseSink, *records: Record, under: str = "one") -> Handled:
    return sink.deliver(Batch(records, NOW), under, again=False)


def detection_of(version: int = 1, /, **fields: Any) -> dict[str, Any]:
    return {
        "schema": "tracemend.detection/1", "id": "d1", "type": "loop", "processor": "loop", "processor_version": "1",
        "tier": 1, "confidence": 0.93, "confidence_tier": "HIGH", "severity": "high", "score": 74, "tenant": "default",
        "service": "trips", "agent": None, "framework": None, "status": "open", "version": version,
        "trace_id": "a" * 32, "run_id": "r", "conversation_id": None, "replaces": None, "span_ids": ["b" * 16],
        "spans": [], "title": "t\u00e9", "explanation": "e", "evidence": {"n": 1.10}, "cost_usd": 0.0,
        "suggested_fix": {"fix_type": "retry_limit", "risk": "SAFE", "parameters": {}, "description": ""},
        "event_time": "2026-11-20T10:00:00.123456789Z", "detected_at": f"2026-11-20T10:00:0{version}.412Z",
        **fields,
    }  # fmt: skip


def detection_record(document: dict[str, Any]) -> Record:
    return record_of(topics.DETECTIONS, orjson.dumps(document))


VALUES = [
    "default", "run", "a" * 32, "b" * 16, "tool", NOW, NOW + 5, "c" * 16, 3, False, True, "name", "service",
    "framework", "dialect", "scope", "agent", "node", "workflow", "conversation", "user", "provider", "model",
    "response", "finish", "tool", "call", "{}", "h1", 2, "result", "h2", 3, "in", "h3", 4, "out", "h4", 5, "system",
    [["1", "x", "{}", "h"]], [["1", "x", "h", "r"]], [1, 2, 3, 4, 5], 99, 0.5, "{}", "h5", 2, "error", "type",
    "from", "to", True, [["quality", 1.5, "up"]], [["a" * 32, "d" * 16]],
]  # fmt: skip
STEP = msgspec.convert(VALUES, Step)


def test_spans_dated_outside_what_is_kept_are_dead_letters_and_the_rest_is_stored(sink: ClickHouseSink) -> None:
    request = request_of((1, NOW), (2, 0), (3, NOW - 91 * DAY), (4, NOW + 2 * DAY), (5, NOW - 80 * DAY))
    handled = deliver(sink, record_of(topics.OTLP_SPANS, request.SerializeToString()))
    held = ExportTraceServiceRequest.FromString(handled.outputs[0].value)
    aside = [span.span_id[-1] for held in held.resource_spans for scope in held.scope_spans for span in scope.spans]
    assert (len(handled.outputs), aside) == (1, [2, 3, 4])
    assert handled.outputs[0].headers["error-class"] == b"DatedOutside"


def test_a_batch_that_spans_every_day_kept_is_stored(sink: ClickHouseSink, store: Store) -> None:
    request = request_of(*((day + 1, NOW - day * DAY) for day in range(90)))
    deliver(sink, record_of(topics.OTLP_SPANS, request.SerializeToString()))
    assert numbers_of(store) == list(range(1, 91))


def test_a_span_that_ends_before_it_starts_took_no_time(sink: ClickHouseSink, store: Store) -> None:
    request = request_of((1, NOW))
    request.resource_spans[0].scope_spans[0].spans[0].end_time_unix_nano = NOW - 5
    deliver(sink, record_of(topics.OTLP_SPANS, request.SerializeToString()))
    assert [row["Duration"] for row in store.query("SELECT Duration FROM otel_traces")] == [0]


def test_attributes_are_written_as_the_collector_writes_them(sink: ClickHouseSink, store: Store) -> None:
    request = request_of((1, NOW))
    span = request.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="whole").value.double_value = 1.0
    span.attributes.add(key="part").value.double_value = 0.5
    span.attributes.add(key="yes").value.bool_value = True
    span.attributes.add(key="list").value.array_value.values.add().int_value = 7
    span.attributes.add(key="none")
    span.attributes.add(key="bytes").value.bytes_value = b"\x00\xff"
    deliver(sink, record_of(topics.OTLP_SPANS, request.SerializeToString()))
    (row,) = store.query("SELECT SpanAttributes FROM otel_traces")
    wanted = {"whole": "1", "part": "0.5", "yes": "true", "list": "[7]", "none": "", "bytes": "AP8="}
    assert row["SpanAttributes"] == wanted


def test_a_log_record_without_a_time_is_dated_when_it_came(sink: ClickHouseSink, store: Store) -> None:
    request = ExportLogsServiceRequest()
    request.resource_logs.add().scope_logs.add().log_records.add().body.string_value = "hello"
    deliver(sink, record_of(topics.OTLP_LOGS, request.SerializeToString()))
    (row,) = store.query("SELECT Body, toUnixTimestamp64Nano(Timestamp) AS At FROM otel_logs")
    assert row == {"Body": "hello", "At": NOW}


def test_every_field_of_a_step_is_stored_and_comes_back(sink: ClickHouseSink, store: Store) -> None:
    assert all(value for name, value in msgspec.structs.asdict(STEP).items() if name != "retracted"), "a field unset"
    later = msgspec.structs.replace(STEP, span_id="c" * 16, start_ns=NOW + 9, end_ns=NOW + 10)
    gone = msgspec.structs.replace(later, span_id="d" * 16, retracted=True)
    older = msgspec.structs.replace(STEP, revision=2, name="older")
    value = encode_steps([later, STEP, gone, older])
    deliver(sink, record_of(topics.AGENT_STEPS, value))
    assert list(reading.steps(store.query, "default", "run")) == [STEP, later]


@given(st.builds(Step, st.just("t"), *[st.text(max_size=3)] * 4, st.integers(0, 2**62), st.integers(0, 2**63 - 1)))
def test_a_step_reads_back_as_it_was_written(step: Step) -> None:
    read = read_step(dict(zip(STEP_COLUMNS, (column[0] for column in step_columns([astuple(step)])), strict=True)))
    assert read == msgspec.structs.replace(step, end_ns=max(step.start_ns, step.end_ns))


def test_a_detection_comes_back_byte_for_byte(sink: ClickHouseSink, store: Store) -> None:
    document = detection_of()
    deliver(sink, detection_record(document))
    (row,) = store.query("SELECT Json, Evidence, FixRisk FROM detections_latest")
    assert row == {"Json": orjson.dumps(document).decode(), "Evidence": '{"n":1.1}', "FixRisk": "SAFE"}


@pytest.mark.parametrize("when", ["2554-07-21T23:34:33.709551615Z", "1901-01-01T00:00:00Z"])
def test_a_detection_on_a_span_of_any_year_is_kept(sink: ClickHouseSink, store: Store, when: str) -> None:
    handled = deliver(sink, detection_record(detection_of(event_time=when)))
    (found,) = reading.detections(store.query)
    assert (found["event_time"], list(handled.outputs)) == (when, [])


def test_the_latest_version_of_a_detection_counts_unless_it_is_withdrawn(sink: ClickHouseSink, store: Store) -> None:
    told = [detection_of(1), detection_of(3, status="closed"), detection_of(2), detection_of(3, status="closed")]
    taken = [detection_of(1, id="d2"), detection_of(2, id="d2", status="withdrawn")]
    deliver(sink, *map(detection_record, [*told, *taken]))
    assert [(d["id"], d["version"]) for d in reading.detections(store.query)] == [("d1", 3)]
    everything = reading.detections(store.query, all_versions=True)
    assert [(d["id"], d["version"]) for d in everything] == [("d1", 1), ("d2", 1), ("d1", 2), ("d2", 2), ("d1", 3)]


def test_detections_are_read_page_by_page(sink: ClickHouseSink, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "PAGE", 2)
    deliver(sink, *(detection_record(detection_of(1, id=f"d{number}")) for number in range(5)))
    assert [d["id"] for d in reading.detections(store.query)] == [f"d{number}" for number in range(5)]


def test_money_is_not_doubled_by_a_repeated_batch_and_a_correction_counts(sink: ClickHouseSink, store: Store) -> None:
    used = UsageRecord("default", "s", "a", "f", "r", "a" * 32, "b" * 16, "m", "p", 10, 5, 0, 0, 0, 0.5, NOW, 0)
    records = [record_of(topics.USAGE, encode_usage(made)) for made in (used, taken_back(used, 1))]
    deliver(sink, records[0])
    deliver(sink, records[0], under="another")
    assert [(row["Input"], row["CostUsd"]) for row in store.query("SELECT * FROM cost_metrics")] == [(10, 0.5)]
    deliver(sink, records[1], under="third")
    assert [(row["Input"], row["CostUsd"]) for row in store.query("SELECT * FROM cost_metrics")] == [(0, 0.0)]


@pytest.mark.parametrize(
    "fields",
    [
        {"score": 300},
        {"version": -1},
        {"detected_at": "9999-01-01T00:00:00Z"},
        {"detected_at": "yesterday"},
        {"tenant": None},
        {"span_ids": "b"},
        {"schema": "tracemend.detection/9"},
    ],
)
def test_a_detection_that_is_none_is_a_dead_letter_and_the_next_one_is_stored(
    sink: ClickHouseSink, store: Store, fields: dict[str, Any]
) -> None:
    good = detection_record(detection_of(1, id="good"))
    handled = deliver(sink, detection_record(detection_of(1, **fields)), good)
    assert [d["id"] for d in reading.detections(store.query)] == ["good"]
    assert [letter.topic for letter in handled.outputs] == [topics.DEAD_LETTERS]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from(TOPICS), st.binary(max_size=60)), min_size=1, max_size=8), st.data())
def test_no_bytes_on_any_topic_keep_a_batch_from_being_stored(
    sink: ClickHouseSink, store: Store, garbage: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    headers = data.draw(st.dictionaries(st.sampled_from(["tenant", "original-offset", "stage"]), st.binary(max_size=9)))
    records = [record_of(topic, value, offset, headers) for offset, (topic, value) in enumerate(garbage)]
    good = detection_record(detection_of(1, id="good"))
    deliver(sink, *records, good, under=str(data.draw(st.uuids())))
    assert [d["id"] for d in reading.detections(store.query)] == ["good"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(0, 2**64 - 1), st.integers(-(2**31), 2**31 - 1), st.binary(max_size=40), st.text(max_size=20))
def test_a_span_of_odd_values_is_stored(sink: ClickHouseSink, number: int, code: int, ids: bytes, text: str) -> None:
    request = request_of((1, NOW))
    span: Any = request.resource_spans[0].scope_spans[0].spans[0]
    span.end_time_unix_nano, span.kind, span.trace_id, span.span_id = number, code, ids, ids
    span.name = span.trace_state = span.status.message = text
    span.status.code = code
    event = span.events.add(time_unix_nano=number, name=text)
    event.attributes.add(key=text).value.double_value = float("nan")
    span.links.add(trace_id=ids, span_id=ids).attributes.add(key=text).value.double_value = float("inf")
    record = record_of(topics.OTLP_SPANS, request.SerializeToString())
    assert deliver(sink, record, under=f"{number}{code}{ids!r}{text!r}").outputs == []
