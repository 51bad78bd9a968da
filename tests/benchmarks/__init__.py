"""Figures of this machine; `python -m tests.benchmarks` prints them."""
