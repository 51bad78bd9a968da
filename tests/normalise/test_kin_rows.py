"""Rows in which spans are stored together: what is read back is what was said last, and what has passed goes."""

from __future__ import annotations

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject
from normaliser_drive import NormaliserDrive, one_by_one, recorded

from collector.normalise import kin_rows, trace_state
from collector.normalise.kin_rows import KinRows, Row

ENCODE = msgspec.msgpack.Encoder().encode
SPANS = st.sampled_from([f"{number:x}" for number in range(12)])


class Stored:
    """Rows as a store has them, beside a dictionary of what is true."""

    def __init__(self) -> None:
        self.rows = KinRows()
        self.held: dict[int, bytes] = {}
        self.newest: dict[str, bytes] = {}

    def apply(self, rows: Iterable[Row]) -> None:
        for number, value in rows:
            if value is None:
                del self.held[number]
            else:
                assert number not in self.held
                self.held[number] = value

    def write(self, spans: dict[str, bytes]) -> None:
        self.newest |= spans
        self.apply(self.rows.write(spans))
        while worn := self.rows.worn():
            self.apply(self.rows.write({span_id: self.newest[span_id] for span_id in worn}))

    def leave(self, span_id: str) -> None:
        self.newest.pop(span_id, None)
        self.rows.leave(span_id)
        self.apply(self.rows.write({}))

    def read_again(self) -> dict[str, bytes]:
        self.rows = KinRows()
        return {span_id: bytes(raw) for span_id, raw in self.rows.read(sorted(self.held.items())).items()}


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_what_is_read_back_is_what_was_said_last(data: DataObject) -> None:
    stored, gone = Stored(), set[str]()
    for turn in range(data.draw(st.integers(1, 25))):
        spans = data.draw(st.sets(SPANS, max_size=5))
        stored.write({span_id: ENCODE([turn, "x" * data.draw(st.integers(0, 900))]) for span_id in spans})
        gone -= spans
        if data.draw(st.booleans()):
            left = data.draw(SPANS)
            stored.leave(left)
            gone.add(left)
        if data.draw(st.booleans()):
            read = stored.read_again()
            assert read.keys() - gone == stored.newest.keys()
            assert all(read[span_id] == value for span_id, value in stored.newest.items())
            for back in read.keys() & gone:  # still in a row for the sake of others: forgotten once more
                stored.leave(back)


def test_rows_of_which_little_counts_are_written_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kin_rows, "SPARE_BYTES", 1_000)
    stored, chance = Stored(), random.Random(7)  # noqa: S311  # no secret
    stored.write({f"{number}": ENCODE(chance.randbytes(100)) for number in range(100)})
    for number in range(2_000):
        stored.write({f"{number % 99}": ENCODE(chance.randbytes(100))})
    assert len(stored.newest) == 100
    assert sum(map(len, stored.held.values())) < 2 * 100 * 110 + 1_000 + 5_000
    assert stored.read_again() == stored.newest


def test_a_row_nobody_is_in_any_more_is_deleted() -> None:
    stored = Stored()
    stored.write({"a": ENCODE(1), "b": ENCODE(1)})
    stored.write({"a": ENCODE(2)})
    assert sorted(stored.held) == [0, 1]
    stored.write({"b": ENCODE(2)})
    assert sorted(stored.held) == [1, 2]
    stored.leave("a")
    stored.leave("b")
    assert not stored.held


def test_a_trace_that_forgets_holds_no_more_rows_than_it_remembers_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_state, "KIN_SPANS", 4)
    monkeypatch.setattr(trace_state, "WAITING_STEPS", 2)
    drive = NormaliserDrive()
    requests = one_by_one(recorded("langgraph-openinference-loop"))
    assert len(requests) > 8
    for at, request in enumerate(requests):
        drive.send(request)
        if at % 3 == 0:
            drive.restart()
    traces = drive.state.count("traces")
    assert 0 < drive.state.count("kin") <= 4 * traces
