"""Texts on their way through the full model: a bounded queue, one thread, batches, and a breaker.

Whoever asks gets an answer, or hears at once that there is none to be had: nobody waits for a model that is away.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import xxhash

from processors.looking.model_process import ModelAwayError
from schemas.metrics import CACHE_EVICTED, SECOND_LOOK_FAILURES, SECOND_LOOK_TEXTS

Vector = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]

WAITING = 64
"""Questions that may wait for the model, those being answered not counted."""
BATCH_CHARACTERS = 64_000
"""Characters from which on no further question is put into a batch: some seconds of work (measured: 270 short texts
a second, 17 passages of a kilobyte)."""
CACHE = "second_look"
REMEMBERED = 4_096
"""Texts whose vectors are remembered, 1.5 kB each."""
FIRST_REST_SECONDS, LONGEST_REST_SECONDS = 2.0, 300.0
"""How long a model that is away is left alone, doubling."""


class Encoder(Protocol):
    """What makes vectors of length one of texts; raises ModelAwayError."""

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """Give one for each text."""

    def close(self) -> None:
        """Let go of what it holds."""


class Answer(NamedTuple):
    """What came of a question: vectors in the order of its texts, None where the model was away."""

    ticket: str
    vectors: Vectors | None


class _Question(NamedTuple):
    ticket: str
    texts: Sequence[str]
    answers: queue.SimpleQueue[Answer]

    @property
    def size(self) -> int:
        """Characters of all its texts."""
        return sum(map(len, self.texts))


class Encodings:
    """Asks the full model for many stages of one process. Its thread starts with the first question."""

    def __init__(self, encoder: Encoder, clock: Callable[[], float] = time.monotonic) -> None:
        self._encoder = encoder
        self._clock = clock
        self._waiting: queue.Queue[_Question] = queue.Queue(WAITING)
        self._known: OrderedDict[bytes, Vector] = OrderedDict()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._rests_until = 0.0
        self.trouble = ""
        """Why the model did not answer last; empty when it did."""

    def ask(self, ticket: str, texts: Sequence[str], answers: queue.SimpleQueue[Answer]) -> str:
        """Put a question; its answer comes on `answers`. Returns why none will: `away`, `busy`, or nothing."""
        if self._clock() < self._rests_until:
            return "away"
        try:
            self._waiting.put_nowait(_Question(ticket, texts, answers))
        except queue.Full:
            return "busy"
        self._run_thread()
        return ""

    def _run_thread(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="second-look", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while True:
            questions = self._next()
            try:
                rows = self._rows({_key(text): text for one in questions for text in one.texts})
                answered = [Answer(one.ticket, np.stack([rows[_key(text)] for text in one.texts])) for one in questions]
            except Exception as error:  # noqa: BLE001  # counted by its name; the thread lives on
                self._rest(error)
                answered = [Answer(one.ticket, None) for one in questions]
            for one, answer in zip(questions, answered, strict=True):
                one.answers.put(answer)

    def _next(self) -> list[_Question]:
        """Wait for a question, and take those along that wait with it."""
        questions = [self._waiting.get()]
        size = questions[0].size
        while size < BATCH_CHARACTERS:
            try:
                questions.append(self._waiting.get_nowait())
            except queue.Empty:
                break
            size += questions[-1].size
        return questions

    def _rows(self, texts: Mapping[bytes, str]) -> Mapping[bytes, Vector]:
        """Give the vectors of texts, making those that are not known, all at once."""
        fresh = {key: text for key, text in texts.items() if key not in self._known}
        if fresh:
            made = self._encoder.vectors(list(fresh.values()))
            SECOND_LOOK_TEXTS.inc(len(fresh))
            self._known.update(zip(fresh, made, strict=True))
        self._failures, self.trouble = 0, ""
        rows = {key: self._known[key] for key in texts}
        self._forget()
        return rows

    def _rest(self, error: Exception) -> None:
        self._failures += 1
        pause = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2 ** min(self._failures - 1, 16))
        self._rests_until = self._clock() + pause
        kind = error.kind if isinstance(error, ModelAwayError) else type(error).__name__
        self.trouble = str(error)
        SECOND_LOOK_FAILURES.labels(error=kind).inc()

    def _forget(self) -> None:
        over = max(0, len(self._known) - REMEMBERED)
        for _ in range(over):
            self._known.popitem(last=False)
        if over:
            CACHE_EVICTED.labels(cache=CACHE, reason="texts").inc(over)


def _key(text: str) -> bytes:
    return xxhash.xxh3_128_digest(text.encode("utf-8", "surrogatepass"))
