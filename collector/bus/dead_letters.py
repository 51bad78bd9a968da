"""Records that can never be handled, on their way to the dead-letter topic."""

from __future__ import annotations

from collector.bus.protocol import Outgoing, Record
from schemas.metrics import DEAD_LETTERS_TOTAL
from schemas.topics import DEAD_LETTERS

ERROR_TEXT_BYTES = 512
VALUE_LIMIT_BYTES = 1_000_000


def dead_letter(record: Record, error: BaseException, stage: str) -> Outgoing:
    """Wrap a record that `stage` could not handle; counted by error class."""
    kind = type(error).__name__
    DEAD_LETTERS_TOTAL.labels(stage=stage, error=kind).inc()
    headers = {
        **record.headers,
        "original-topic": record.topic.encode(),
        "original-partition": str(record.partition).encode(),
        "original-offset": str(record.offset).encode(),
        "original-size": str(len(record.value)).encode(),
        "error-class": kind.encode(),
        "error-text": str(error).encode("utf-8", "replace")[:ERROR_TEXT_BYTES],
        "stage": stage.encode(),
    }
    return Outgoing(DEAD_LETTERS, record.key, record.value[:VALUE_LIMIT_BYTES], headers)
