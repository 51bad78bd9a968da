"""Batches of records as we write them are read by others as what they were made of."""

from __future__ import annotations

from collections.abc import Sequence

import zstandard
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from collector.bus.kafka_batches import HEAD, LEVEL, RecordBatch
from collector.bus.kafka_records import Sent

ROOM = 1024 * 1024
NAMES = st.text(st.characters(codec="utf-8"), max_size=70)
RECORDS = st.builds(
    Sent,
    st.just("otlp_spans"),
    st.none() | st.binary(max_size=300),
    st.none() | st.binary(max_size=80),
    st.just(0),
    st.none(),
    st.lists(st.tuples(NAMES, st.binary(max_size=70)), max_size=3),
)


def batch(records: Sequence[Sent], most: int = ROOM) -> tuple[RecordBatch, int]:
    """Fill a batch; also give how many found room."""
    made = RecordBatch(zstandard.ZstdCompressor(level=LEVEL), most)
    return made, sum(made.add(record.key, record.value, record.headers) for record in records)


def read(built: bytes) -> DefaultRecordBatch:
    """Have it read by aiokafka, checksum and all."""
    found = DefaultRecordBatch(built)
    assert found.validate_crc()
    return found


@given(st.lists(RECORDS, min_size=1, max_size=150))
def test_what_was_put_in_is_read_in_its_order(records: list[Sent]) -> None:
    made, taken = batch(records)
    assert taken == made.record_count() == len(records)
    found = list(read(made._build()))
    assert [(one.key, one.value, one.headers) for one in found] == [
        (one.key, one.value, one.headers) for one in records
    ]
    assert [one.offset for one in found] == list(range(len(records)))


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**15 - 1), st.integers(0, 2**31 - 1))
def test_a_broker_is_told_whose_it_is_and_its_place(producer: int, epoch: int, sequence: int) -> None:
    made, _ = batch([Sent("otlp_spans", b"value", None, 0, None, [])] * 3)
    made._set_producer_state(producer, epoch, sequence)
    found = read(made._build())
    assert (found.producer_id, found.producer_epoch, found.base_sequence) == (producer, epoch, sequence)
    assert (found.base_offset, found.last_offset_delta, found.magic) == (0, 2, 2)
    assert found.first_timestamp == found.max_timestamp > 0


def test_what_is_sent_again_is_the_same() -> None:
    made, _ = batch([Sent("otlp_spans", b"value", b"key", 0, None, [("name", b"")])])
    assert made._build() is made._build()
    assert made.size() == len(made._build())


@given(st.lists(st.binary(min_size=40, max_size=200), min_size=1, max_size=20), st.integers(0, 1_000))
def test_it_is_no_larger_than_it_may_be_but_for_a_single_record(values: list[bytes], most: int) -> None:
    made, taken = batch([Sent("otlp_spans", value, None, 0, None, []) for value in values], most)
    assert taken >= 1
    assert taken == 1 or made.size() <= most
    if taken == len(values) and taken > 1:
        assert made.size() >= HEAD.size + sum(map(len, values))
