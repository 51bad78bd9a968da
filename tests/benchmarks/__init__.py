"""Figures of this machine; `python -m tests.benchmarks` prints them."""

Figure = tuple[str, float, str]
"""What was measured, how much, and in which unit."""
