"""What a whole test session shares."""

from __future__ import annotations

import signal

from kafka_fixtures import kafka, kafka_buses, topic_prefix

__all__ = ["kafka", "kafka_buses", "topic_prefix"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so, and every program under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
