"""What a peak leaves behind in the allocator is given back, while the process does nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

PEAK = """
import time
from collector import process_memory
from collector.admission import resident_bytes
process_memory.LOOK_SECONDS = 0.1
held = [bytes(2_000) for _ in range(100_000)]
kept = held[::100]
del held
before = resident_bytes()
process_memory.give_back_what_is_free()
until = time.monotonic() + 20
while resident_bytes() > before - 100_000_000 and time.monotonic() < until:
    time.sleep(0.05)
print(len(kept), before - resident_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be asked")
def test_what_is_free_between_what_is_used_is_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, timeout=60)
    kept, given_back = done.stdout.split()
    assert int(kept) == 1_000
    assert int(given_back) > 100_000_000
