"""`kill -9` where only the engine knows: between its note of an insert's token and the insert's rows.

strace delivers the signal at the very system call that makes the rows visible. Before deliveries compared what they
deliver again with what is there, the batch killed at the first such call was lost.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sinks.store import Store

ONE_DELIVERY = [sys.executable, str(Path(__file__).with_name("one_delivery.py"))]
EARLIER, KILLED = 5, 10
OF_THE_SPANS, OF_THE_VIEW = 2, 3
"""An insert's parts become visible one after the other, each by a rename; the first of all is of the bus."""

pytestmark = [
    pytest.mark.crash,
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not on this machine"),
]


def stored(folder: Path) -> tuple[int, int, int]:
    """Count rows, spans, and traces that can be looked up."""
    store = Store(f"chdb:///{folder / 'store'}")
    (row,) = store.query("SELECT count() AS rows, uniqExact(TraceId, SpanId) AS spans FROM otel_traces")
    (seen,) = store.query("SELECT uniqExact(TraceId) AS traces FROM otel_traces_trace_id_ts")
    store.close()
    return int(row["rows"]), int(row["spans"]), int(seen["traces"])


@pytest.mark.parametrize(("rename", "left"), [(OF_THE_SPANS, EARLIER), (OF_THE_VIEW, EARLIER + KILLED)])
def test_what_was_killed_in_the_middle_of_an_insert_is_there_once(tmp_path: Path, rename: int, left: int) -> None:
    subprocess.run([*ONE_DELIVERY, str(tmp_path), "1", str(EARLIER)], check=True, timeout=60)
    inject = ["-e", "trace=rename", "-e", f"inject=rename:signal=SIGKILL:when={rename}"]
    strace = ["strace", "-f", "-qq", "-o", str(tmp_path / "calls"), *inject]
    died = subprocess.run([*strace, *ONE_DELIVERY, str(tmp_path), "100", str(KILLED)], check=False, timeout=100)
    calls = (tmp_path / "calls").read_text(errors="replace")
    if not calls:
        pytest.skip("strace may not trace here")
    assert died.returncode != 0
    assert "tmp_insert" in [line for line in calls.splitlines() if "rename(" in line][-1]
    assert stored_apart(tmp_path)[0] == left
    subprocess.run([*ONE_DELIVERY, str(tmp_path), "0", "0"], check=True, timeout=60)
    assert stored_apart(tmp_path) == (EARLIER + KILLED,) * 3


def stored_apart(folder: Path) -> tuple[int, int, int]:
    """Count in a process of its own: an engine has one folder for the life of its process."""
    command = f"from test_kill_inside_the_engine import *; print(*stored(Path({str(folder)!r})))"
    done = subprocess.run(
        [sys.executable, "-c", command],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parent,
    )
    rows, spans, traces = map(int, done.stdout.split())
    return rows, spans, traces
