"""First lives of processes are forked while that is safe, and told apart from what ended them."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time

import pytest

from collector import forked
from collector.process_plan import PLANS

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its supervisor")

ALONE = """
import os, sys, time
from collector.forked import forked
from collector.process_plan import PLANS
processes = forked(PLANS[3])
print(*(process.pid for process in processes), flush=True)
{then}
"""


def alone(then: str) -> subprocess.CompletedProcess[str]:
    """Fork in a program of its own: this one has threads."""
    program = [sys.executable, "-c", ALONE.format(then=then)]
    return subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)


def ended(pid: str) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", pid], capture_output=True, text=True, check=False).stdout.strip()
    return not found or found.startswith("Z")


@linux
def test_processes_are_forked_and_die_with_who_forked_them_however_it_dies() -> None:
    told = alone("time.sleep(1); os.kill(os.getpid(), 9)")
    assert told.returncode == -signal.SIGKILL, told.stderr
    pids = told.stdout.split()
    assert len(pids) == len(PLANS[3])
    deadline = time.monotonic() + 20
    while not all(ended(pid) for pid in pids):
        assert time.monotonic() < deadline, pids
        time.sleep(0.05)


@linux
def test_how_each_ended_is_known_also_to_who_asks_while_another_waits() -> None:
    told = alone(
        """
import signal, threading
first, second = processes
waiter = threading.Thread(target=lambda: print("waited", second.wait(), flush=True))
waiter.start()
assert first.poll() is None and second.poll() is None
first.kill(); second.kill()
waiter.join()
print("first", first.wait(), "second", second.poll())
first.kill()
"""
    )
    assert told.stderr == ""
    assert told.stdout.splitlines()[1:] == ["waited -9", "first -9 second -9"]


@linux
def test_a_process_whose_link_closes_ends_by_itself() -> None:
    told = alone("[process.link.close() for process in processes]; print([process.wait() for process in processes])")
    assert told.stdout.splitlines()[1:] == ["[1, 1]"], told.stderr


def test_nothing_is_forked_beside_another_thread() -> None:
    over = threading.Event()
    other = threading.Thread(target=over.wait)
    other.start()
    try:
        assert forked.forked(PLANS[4]) == []
    finally:
        over.set()
        other.join()


def test_nothing_is_forked_where_there_is_nothing_to_run() -> None:
    assert forked.forked(()) == []
