"""The second look before the judge: what it settles costs nothing, and where the judge has ruled the ruling stands."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from courtroom import Courtroom
from escalated_runs import trace
from looked_runs import AGAIN, grey_run, repetition_of, told
from looking_glass import LookingGlass, TableEncoder
from messages_server import MessagesServer, always

from processors.judging.reading import JUDGE
from schemas.detection import CLOSED, WITHDRAWN

HALF_ALIKE = ("Search for a flight to Lisbon on Monday.", "Look up trains that go to Lisbon on Monday morning.")
RUN = trace(1)


class Both:
    """Both stages on one bus."""

    def __init__(self, folder: Path, api: MessagesServer) -> None:
        self.glass = LookingGlass(folder, TableEncoder())
        self.court = Courtroom(folder, api.url, taken=(JUDGE,))

    def settle(self) -> None:
        """Let both do what they can until neither has anything to do: either may answer the other."""
        for _ in range(4):
            self.glass.settle()
            self.court.settle()

    def close(self) -> None:
        self.court.close()
        self.glass.close()


@pytest.fixture
def api() -> Iterator[MessagesServer]:
    server = MessagesServer(always("yes", 0.9))
    yield server
    server.close()


@pytest.fixture
def both(tmp_path: Path, api: MessagesServer) -> Iterator[Both]:
    opened = Both(tmp_path, api)
    yield opened
    opened.close()


def test_what_the_second_look_settles_the_judge_is_not_asked(both: Both, api: MessagesServer) -> None:
    both.glass.publish(grey_run(RUN, AGAIN))
    both.settle()
    assert api.requests == []
    assert (both.glass.latest()["tier"], both.glass.latest()["confidence"]) == (3, 0.78)


def test_what_stays_grey_is_judged_once_and_the_ruling_stands(both: Both, api: MessagesServer) -> None:
    both.glass.publish(grey_run(RUN, HALF_ALIKE))
    both.settle()
    assert len(api.requests) == 1
    assert (both.glass.latest()["tier"], both.glass.latest()["status"]) == (4, WITHDRAWN)
    assert {"second_look", "judge"} <= both.glass.latest()["evidence"].keys()
    both.glass.publish(told(RUN, repetition_of(RUN, 2, confidence=0.55, status=CLOSED), escalates=False))
    both.settle()
    assert (both.glass.latest()["tier"], both.glass.latest()["status"]) == (4, WITHDRAWN)


@pytest.mark.parametrize("texts", [AGAIN, HALF_ALIKE])
def test_the_two_do_not_answer_each_other_for_ever(both: Both, texts: tuple[str, ...]) -> None:
    both.glass.publish(grey_run(RUN, texts))
    both.settle()
    both.glass.publish(told(RUN, repetition_of(RUN, len(texts), confidence=0.6)))
    both.settle()
    before = len(both.glass.versions())
    both.settle()
    assert len(both.glass.versions()) == before <= 8
