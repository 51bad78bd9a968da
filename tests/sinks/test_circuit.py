"""While a store is away it is asked whether it is back, and not given batches."""

from __future__ import annotations

import pytest
from prometheus_client import REGISTRY

from sinks.circuit import FAILURES, Circuit
from sinks.store import StatementRefused, StoreAway


class Away:
    """A store that is away until it is told otherwise, and counts what it is asked."""

    def __init__(self) -> None:
        self.back = False
        self.pings = self.batches = 0

    def ping(self) -> None:
        self.pings += 1
        self._answer()

    def insert(self) -> str:
        self.batches += 1
        self._answer()
        return "done"

    def _answer(self) -> None:
        if not self.back:
            raise StoreAway("nobody answers")


def shown() -> float | None:
    return REGISTRY.get_sample_value("tracemend_store_circuit_open", {"sink": "tests"})


def test_batches_are_kept_back_until_a_ping_is_answered() -> None:
    circuit, store = Circuit("tests"), Away()
    for tried in range(1, 9):
        with pytest.raises(StoreAway, match=f"nobody answers; {tried} tries since .*Z, the bus keeps what comes"):
            circuit.run(store.insert, store.ping)
    assert (store.batches, store.pings, shown()) == (FAILURES, 8 - FAILURES, 1.0)
    store.back = True
    assert circuit.run(store.insert, store.ping) == "done"
    assert (store.batches, store.pings, shown()) == (FAILURES + 1, 9 - FAILURES, 0.0)
    circuit.run(store.insert, store.ping)
    assert store.pings == 9 - FAILURES


def test_a_store_that_answers_no_is_not_away() -> None:
    circuit, store = Circuit("tests"), Away()

    def refuse() -> None:
        raise StatementRefused("no")

    for _ in range(FAILURES + 1):
        with pytest.raises(StatementRefused):
            circuit.run(refuse, store.ping)
    assert store.pings == 0
