"""What a whole test session shares."""

from __future__ import annotations

from kafka_fixtures import kafka, topic_prefix

__all__ = ["kafka", "topic_prefix"]
