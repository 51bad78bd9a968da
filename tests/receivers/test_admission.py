"""Room for requests: what is in flight and what is resident, against a limit."""

from __future__ import annotations

import pytest

from collector.admission import EXPANSION, LONGEST_RETRY_SECONDS, Admission, Overload

LIMIT = 10_000_000
SOFT = 8_000_000


class Machine:
    """Memory and a clock that do what a test says."""

    def __init__(self) -> None:
        self.resident = 0
        self.free = 0
        self.now = 0.0
        self.admission = Admission(LIMIT, lambda: self.resident, lambda: self.now, self.release)

    def release(self) -> None:
        """Give back what nobody uses."""
        self.resident, self.free = self.resident - self.free, 0


def test_requests_are_admitted_until_the_soft_limit_and_again_once_others_are_done() -> None:
    admission = Machine().admission
    body = SOFT // EXPANSION // 2
    with admission.admit(body), admission.admit(body), pytest.raises(Overload), admission.admit(body):
        pytest.fail("it was admitted")
    with admission.admit(body):
        pass


def test_a_large_request_that_is_alone_is_admitted() -> None:
    with Machine().admission.admit(LIMIT):
        pass


def test_nothing_is_admitted_while_the_process_itself_is_over_the_soft_limit() -> None:
    machine = Machine()
    machine.resident = SOFT + 1
    with pytest.raises(Overload), machine.admission.admit(1):
        pytest.fail("it was admitted")


def test_the_delay_grows_with_what_is_over_up_to_a_bound() -> None:
    machine = Machine()
    delays = []
    for resident in (SOFT + 1, LIMIT, 2 * LIMIT, 100 * LIMIT):
        machine.resident, machine.now = resident, machine.now + 1
        with pytest.raises(Overload) as refused, machine.admission.admit(1):
            pytest.fail("it was admitted")
        delays.append(refused.value.retry_seconds)
    assert delays[0] >= 1
    assert delays == sorted(delays)
    assert delays[-1] == LONGEST_RETRY_SECONDS


def test_memory_that_the_allocator_only_keeps_does_not_shut_the_door_for_ever() -> None:
    machine = Machine()
    machine.resident, machine.free = LIMIT, LIMIT // 2
    with machine.admission.admit(1):
        pass


def test_a_body_counts_as_it_comes_in_and_no_more_once_it_was_refused() -> None:
    admission = Machine().admission
    with admission.hold() as first, admission.hold() as second:
        first.grow(SOFT - 10)
        second.grow(10)
        with pytest.raises(Overload):
            second.grow(1)
    with admission.hold() as third:
        third.grow(SOFT)


def test_resident_memory_is_not_read_for_every_request() -> None:
    reads = []
    admission = Admission(LIMIT, lambda: len(reads.append(0) or reads), lambda: 0.0)  # type: ignore[func-returns-value]
    for _ in range(10):
        with admission.admit(1):
            pass
    assert len(reads) == 1
