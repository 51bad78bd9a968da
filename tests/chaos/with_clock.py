"""Runs a Python module under a wrong wall clock: `python with_clock.py SECONDS python -m MODULE ARGUMENT...`."""

from __future__ import annotations

import runpy
import sys
import time


def main() -> None:
    """Move the wall clock of this process, then be the module; what measures how long something took is left alone."""
    _, seconds, _, _, module, *arguments = sys.argv
    moved_ns = int(seconds) * 1_000_000_000
    right = time.time_ns
    time.time_ns = lambda: right() + moved_ns
    time.time = lambda: (right() + moved_ns) / 1e9
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
