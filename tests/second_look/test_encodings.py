"""Texts on their way through the model: in batches, once each, within bounds, and never waited for in vain."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from processors.looking.encodings import (
    BATCH_CHARACTERS,
    FIRST_REST_SECONDS,
    LONGEST_REST_SECONDS,
    REMEMBERED,
    WAITING,
    Answer,
    Encodings,
)
from processors.looking.model_process import ModelAwayError
from schemas.metrics import SECOND_LOOK_FAILURES

WAIT_SECONDS = 30.0


class Lengths:
    """Says of each text how long it is; can be held up, and can be made to fail."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()
        self.error: Exception | None = None

    def vectors(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.entered.set()
        assert self.free.wait(WAIT_SECONDS)
        self.batches.append(list(texts))
        if self.error is not None:
            raise self.error
        return np.array([[len(text)] for text in texts], np.float32)

    def close(self) -> None:
        """Hold nothing."""


class Asker:
    """Asks, and waits for what comes."""

    def __init__(self, encoder: Lengths) -> None:
        self.now = 0.0
        self.encodings = Encodings(encoder, lambda: self.now)
        self.answers: queue.SimpleQueue[Answer] = queue.SimpleQueue()

    def ask(self, ticket: str, *texts: str) -> str:
        return self.encodings.ask(ticket, texts, self.answers)

    def next(self) -> tuple[str, list[float] | None]:
        answer = self.answers.get(timeout=WAIT_SECONDS)
        return answer.ticket, None if answer.vectors is None else [float(row[0]) for row in answer.vectors]


@pytest.fixture
def lengths() -> Lengths:
    return Lengths()


@pytest.fixture
def asker(lengths: Lengths) -> Asker:
    return Asker(lengths)


def held(asker: Asker, lengths: Lengths) -> None:
    """Let the model be at a first question."""
    lengths.free.clear()
    asker.ask("first", "x")
    assert lengths.entered.wait(WAIT_SECONDS)


def test_answers_stand_in_the_order_of_their_texts(asker: Asker) -> None:
    asker.ask("one", "four", "to", "four")
    assert asker.next() == ("one", [4, 2, 4])


def test_what_waits_together_is_asked_together_and_each_text_once(asker: Asker, lengths: Lengths) -> None:
    held(asker, lengths)
    asker.ask("second", "aa", "bbb")
    asker.ask("third", "bbb", "cccc", "x")
    lengths.free.set()
    assert [asker.next() for _ in range(3)] == [("first", [1]), ("second", [2, 3]), ("third", [3, 4, 1])]
    assert lengths.batches == [["x"], ["aa", "bbb", "cccc"]]


def test_a_batch_is_no_larger_than_some_seconds_of_work(asker: Asker, lengths: Lengths) -> None:
    held(asker, lengths)
    texts = [letter * (BATCH_CHARACTERS // 2) for letter in "abc"]
    for text in texts:
        asker.ask(text[0], text)
    lengths.free.set()
    for _ in range(4):
        asker.next()
    assert lengths.batches == [["x"], texts[:2], texts[2:]]


def test_more_questions_than_may_wait_are_refused(asker: Asker, lengths: Lengths) -> None:
    held(asker, lengths)
    assert [asker.ask(str(number), "y") for number in range(WAITING)] == [""] * WAITING
    assert asker.ask("one more", "y") == "busy"
    lengths.free.set()
    for _ in range(WAITING + 1):
        asker.next()
    assert asker.ask("again", "y") == ""


def test_a_model_that_fails_is_left_alone_ever_longer_and_is_asked_again_then(asker: Asker, lengths: Lengths) -> None:
    before = SECOND_LOOK_FAILURES.labels(error="EOFError")._value.get()
    lengths.error = ModelAwayError("EOFError", "gone")
    for failures in range(12):
        assert asker.ask(str(failures), "x") == ""
        assert asker.next() == (str(failures), None)
        assert asker.ask("meanwhile", "x") == "away"
        pause = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2**failures)
        asker.now += pause - 0.01
        assert asker.ask("meanwhile", "x") == "away"
        asker.now += 0.01
    assert SECOND_LOOK_FAILURES.labels(error="EOFError")._value.get() == before + 12
    lengths.error = None
    asker.ask("back", "x")
    assert asker.next() == ("back", [1])
    assert asker.ask("at once", "x") == ""


def test_an_error_nobody_thought_of_is_counted_and_the_thread_lives_on(asker: Asker, lengths: Lengths) -> None:
    lengths.error = KeyError("odd")
    asker.ask("one", "x")
    assert asker.next() == ("one", None)
    lengths.error = None
    asker.now += LONGEST_REST_SECONDS
    asker.ask("two", "x")
    assert asker.next() == ("two", [1])


def test_no_more_texts_are_remembered_than_are_bounded(asker: Asker, lengths: Lengths) -> None:
    asker.ask("many", *(str(number) for number in range(REMEMBERED + 100)))
    asker.next()
    asker.ask("old", "0")
    assert asker.next() == ("old", [1])
    assert lengths.batches[-1] == ["0"]
    assert len(asker.encodings._known) == REMEMBERED
