"""Room for requests: what is in flight and what is resident, against a limit."""

from __future__ import annotations

import pytest

from collector.admission import (
    CONTENDED_SECONDS,
    EXPANSION,
    LONGEST_RETRY_SECONDS,
    MEMORY,
    NEVER,
    Admission,
    Overload,
)
from collector.bus.drain_rate import FIRST_BYTES_A_SECOND
from collector.fair_share import MOST_TENANTS, FairShares

CONTENDED_BYTES = int(CONTENDED_SECONDS * FIRST_BYTES_A_SECOND)
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


def test_a_large_request_that_is_alone_is_admitted_past_the_soft_limit_but_not_past_the_hard_one() -> None:
    machine = Machine()
    with machine.admission.admit((SOFT + 1_000) // EXPANSION + 1):
        pass
    machine.resident, machine.now = LIMIT // 2, 1
    with pytest.raises(Overload) as refused, machine.admission.admit((SOFT + 1_000) // EXPANSION + 1):
        pytest.fail("it was admitted")
    assert refused.value.kind == MEMORY
    assert refused.value.retry_seconds >= 1


def test_what_can_never_fit_is_told_so_also_before_it_is_read() -> None:
    admission = Admission(LIMIT, lambda: 0, programs=LIMIT // 2)
    fits, never = LIMIT // 2 // EXPANSION, LIMIT // 2 // EXPANSION + 1
    with admission.admit(fits):
        pass
    admission.look(announced=fits)
    with pytest.raises(Overload) as refused, admission.admit(never):
        pytest.fail("it was admitted")
    with pytest.raises(Overload) as unread:
        admission.look(announced=never)
    assert (refused.value.kind, refused.value.retry_seconds) == (NEVER, 0.0)
    assert unread.value.kind == NEVER
    assert "memory_limit_mib" in str(refused.value)


def test_what_is_held_while_a_request_is_read_is_handed_over_and_not_counted_twice() -> None:
    admission = Machine().admission
    body = (SOFT - 1_000) // EXPANSION
    with admission.hold() as held:
        held.grow(body * EXPANSION)
        with admission.admit(body, read=held):
            assert held.bytes == 0
    with admission.admit(body):
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


def refusal(admission: Admission, tenant: str = "default") -> Overload | None:
    """Ask for room for a small request; None where there is some."""
    try:
        admission.look(tenant)
        with admission.admit(1_000, tenant):
            return None
    except Overload as refused:
        return refused


class Queue:
    """A backlog and a clock that do what a test says, in front of so many tenants."""

    def __init__(self, tenants: int) -> None:
        self.unread = 0
        self.now = 0.0
        self.admission = Admission(
            1 << 40, lambda: 0, lambda: self.now, lambda: None, lambda: self.unread, tenants=tenants
        )

    def brings(self, tenant: str, times: int) -> int:
        """Let a tenant ask so often, and count how often there was room."""
        self.now += 1
        return sum(refusal(self.admission, tenant) is None for _ in range(times))


def test_nothing_is_read_of_a_request_while_the_memory_is_full() -> None:
    machine = Machine()
    machine.resident = SOFT + 1
    with pytest.raises(Overload):
        machine.admission.look()


def test_the_delay_grows_with_the_backlog() -> None:
    delays = []
    for unread in (0, 8 << 20, 64 << 20, 1 << 40):
        admission = Admission(LIMIT, lambda: SOFT + 1, unread=lambda unread=unread: unread)  # type: ignore[misc]
        refused = refusal(admission)
        assert refused is not None
        delays.append(refused.retry_seconds)
    assert delays == sorted(delays)
    assert delays[0] < delays[2]
    assert delays[-1] == LONGEST_RETRY_SECONDS


def test_the_delay_is_shorter_where_more_is_read_in_a_second() -> None:
    delays = []
    for drained in (1 << 20, 16 << 20):
        admission = Admission(LIMIT, lambda: SOFT + 1, unread=lambda: 16 << 20, drained=lambda drained=drained: drained)  # type: ignore[misc]
        refused = refusal(admission)
        assert refused is not None
        delays.append(refused.retry_seconds)
    assert delays[0] > 16 > delays[1]


def test_those_refused_together_do_not_come_back_together() -> None:
    admission = Admission(LIMIT, lambda: SOFT + 1)
    refused = [refusal(admission) for _ in range(20)]
    assert len({one.retry_seconds for one in refused if one is not None}) > 10


def test_who_floods_waits_while_others_are_still_taken() -> None:
    queue = Queue(tenants=2)
    assert queue.brings("flood", 200) == 200
    assert queue.brings("modest", 5) == 5
    queue.unread = 2 * CONTENDED_BYTES
    assert queue.brings("flood", 200) == 0
    assert queue.brings("modest", 5) == 5


def test_who_floods_is_taken_again_once_the_backlog_is_read() -> None:
    queue = Queue(tenants=2)
    queue.brings("flood", 200)
    queue.unread = 2 * CONTENDED_BYTES
    assert queue.brings("flood", 1) == 0
    queue.unread = 0
    assert queue.brings("flood", 200) == 200


def test_who_is_alone_may_use_all_there_is() -> None:
    queue = Queue(tenants=1)
    queue.brings("default", 200)
    queue.unread = 2 * CONTENDED_BYTES
    assert queue.brings("default", 200) == 200


def test_a_late_comer_finds_room_behind_one_who_floods() -> None:
    queue = Queue(tenants=2)
    queue.brings("flood", 200)
    queue.unread = 2 * CONTENDED_BYTES
    assert queue.brings("flood", 10) == 0
    assert queue.brings("new", 10) > 0


def test_equal_tenants_are_all_taken_about_alike() -> None:
    queue = Queue(tenants=3)
    for _ in range(10):
        for tenant in ("a", "b", "c"):
            queue.brings(tenant, 10)
    queue.unread = 2 * CONTENDED_BYTES
    taken = dict.fromkeys(("a", "b", "c"), 0)
    for _ in range(60):
        for tenant in taken:
            taken[tenant] += queue.brings(tenant, 3)
    assert min(taken.values()) > 0.5 * max(taken.values()) > 0


def test_tenants_are_remembered_within_a_bound() -> None:
    shares = FairShares()
    for number in range(3 * MOST_TENANTS):
        shares.brings(str(number), 1, 0.0)
    assert len(shares._brought) == MOST_TENANTS  # its size is what matters
