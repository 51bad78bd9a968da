"""What a whole test session shares."""

from __future__ import annotations

import signal

from kafka_fixtures import kafka, kafka_buses, topic_prefix
from webhook_fixtures import open_webhook_bus, receiver, webhook_bus

__all__ = ["kafka", "kafka_buses", "open_webhook_bus", "receiver", "topic_prefix", "webhook_bus"]

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what runs in the background so, and every program under test would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
