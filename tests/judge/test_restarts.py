"""A judge that is restarted knows the steps it had read, as long as the log and its memory have them."""

from __future__ import annotations

from collections.abc import Callable

from courtroom import Courtroom
from escalated_runs import id_of, steps_record, trace
from judged_runs import finding_of, steps_of, told
from memory_state import MemoryState
from messages_server import MessagesServer, pieces

from collector.bus.protocol import Record
from processors.judging.bookmarks import MARKS, Bookmarks, Stretch
from schemas.topics import AGENT_STEPS

Court = Callable[..., Courtroom]
RUN = trace(4)


def record(offset: int, size: int, partition: int = 0) -> Record:
    return Record(AGENT_STEPS, partition, offset, "t/r", b"x" * size, {}, 1)


def stretches(bookmarks: Bookmarks) -> list[Stretch]:
    state = MemoryState()
    state.apply(bookmarks.changes())
    return list(Bookmarks.stretches(state))


def test_a_finding_escalated_after_a_restart_is_judged_by_steps_from_before_it(
    court: Court, api: MessagesServer
) -> None:
    room = court()
    room.publish([steps_record(steps_of(RUN, ["None today.", "None tomorrow."]))])
    room.until(room.read_all)
    room.judge.restart()
    room.publish(told(RUN, finding_of(RUN, 2)))
    room.settle()
    assert room.latest(id_of(RUN, finding_of(RUN, 2)))["evidence"]["judge"]["ruling"] == "confirmed"
    assert "None today." in str(pieces(api.requests[0]))


def test_a_finding_whose_steps_are_nowhere_is_told_as_unjudged(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish(told(RUN, finding_of(RUN, 2)))
    room.settle()
    assert room.latest(id_of(RUN, finding_of(RUN, 2)))["evidence"]["judge"]["why"] == "no_window"
    assert api.requests == []


def test_steps_that_come_a_little_after_the_finding_are_waited_for(court: Court, api: MessagesServer) -> None:
    room = court()
    room.publish(told(RUN, finding_of(RUN, 2)))
    room.round()
    room.publish([steps_record(steps_of(RUN, ["None today.", "None tomorrow."]))])
    room.settle()
    assert room.latest(id_of(RUN, finding_of(RUN, 2)))["evidence"]["judge"]["ruling"] == "confirmed"


def test_a_bookmark_covers_all_that_was_read_while_memory_takes_it() -> None:
    bookmarks = Bookmarks(most_bytes=10_000)
    for offset in range(7, 17):
        bookmarks.read(record(offset, 100))
    assert stretches(bookmarks) == [Stretch(0, 7, 17)]


def test_a_bookmark_moves_so_that_no_more_is_read_again_than_memory_takes() -> None:
    bookmarks = Bookmarks(most_bytes=16_000)
    for offset in range(1_000):
        bookmarks.read(record(offset, 100))
    (stretch,) = stretches(bookmarks)
    assert stretch.until == 1_000
    assert 16_000 * (MARKS - 2) / MARKS <= (stretch.until - stretch.first) * 100 <= 16_000 * (MARKS + 2) / MARKS


def test_each_partition_has_its_own() -> None:
    bookmarks = Bookmarks(most_bytes=16_000)
    bookmarks.read(record(3, 10, partition=0))
    bookmarks.read(record(90, 10, partition=1))
    assert stretches(bookmarks) == [Stretch(0, 3, 4), Stretch(1, 90, 91)]
