"""Calls and batches under way, each in a thread of its own, and what became of them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from processors.judging.calls import Outcome

if TYPE_CHECKING:
    from processors.judging.calls import MessagesApi


class Calls:
    """Calls under way, in threads that die with the process, by the name they were started under.

    Threads put what came into a queue; all else belongs to the thread of the stage. Batches that are looked at are
    not under way: their results can be had at any time.
    """

    def __init__(self, api: MessagesApi, batch_poll_seconds: float) -> None:
        self._api = api
        self._batch_poll_seconds = batch_poll_seconds
        self._watched: set[str] = set()
        self._done: queue.SimpleQueue[tuple[str, Outcome]] = queue.SimpleQueue()
        self._under_way: set[str] = set()
        self._ended: dict[str, Outcome] = {}

    def start(self, name: str, request: dict[str, Any]) -> None:
        """Begin a call."""
        self._under_way.add(name)
        threading.Thread(target=self._run, args=(name, request), name=f"judge-{name}", daemon=True).start()

    def submit(self, requests: Mapping[str, dict[str, Any]]) -> None:
        """Hand in a batch; each of its names ends as submitted, or as the whole did."""
        self._under_way.update(requests)
        threading.Thread(target=self._submit, args=(dict(requests),), name="judge-batch", daemon=True).start()

    def watch(self, batch: str) -> None:
        """Look at a batch until it has ended, once however often this is asked."""
        if batch not in self._watched:
            self._watched.add(batch)
            threading.Thread(target=self._watch, args=(batch,), name=f"judge-{batch}", daemon=True).start()

    def ended(self) -> Mapping[str, Outcome]:
        """Give the calls that ended and are not forgotten: the end of one is not yet committed."""
        while not self._done.empty():
            name, outcome = self._done.get()
            self._under_way.discard(name)
            self._ended[name] = outcome
        return self._ended

    def under_way(self) -> int:
        """Count the calls that have not ended."""
        return len(self._under_way)

    def knows(self, name: str) -> bool:
        """Say whether a call is under way, or has ended and is not forgotten."""
        return name in self._under_way or name in self._ended

    def forget(self, name: str) -> None:
        """Let a call go whose end is committed."""
        self._ended.pop(name, None)

    def any_left(self) -> bool:
        """Say whether there is a call that is not forgotten."""
        return bool(self._under_way or self._ended)

    def _run(self, name: str, request: dict[str, Any]) -> None:
        self._done.put((name, self._api.call(request)))

    def _submit(self, requests: dict[str, dict[str, Any]]) -> None:
        outcome = self._api.submit(requests)
        for name in requests:
            self._done.put((name, outcome))

    def _watch(self, batch: str) -> None:
        for name, outcome in self._api.results(batch, self._batch_poll_seconds):
            self._done.put((name, outcome))
