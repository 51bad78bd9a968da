"""What a whole test session shares."""

from __future__ import annotations

from kafka_fixtures import kafka, kafka_buses, topic_prefix

__all__ = ["kafka", "kafka_buses", "topic_prefix"]
