"""FastStream's broker as a bus needs it: the same cluster and rights, and records that come and go byte by byte.

FastStream decodes what it reads, and swallows a batch in which that fails: a header that is null, or is not UTF-8. It
encodes what it writes, and adds headers. Here it does neither.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

from aiokafka.structs import ConsumerRecord
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.message import StreamMessage
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from collector.bus.kafka_connection import COMPRESSION, KafkaConnection

Records = tuple[ConsumerRecord[bytes, bytes], ...]
SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}
TROUBLE_SECONDS = 6.0
"""How long an error is told: FastStream logs it, and tries again after 5 s."""


class LastError:
    """Stands for FastStream's log: keeps the last error, which nothing else tells of."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._at = 0.0

    @property
    def trouble(self) -> Exception | None:
        """Give what goes wrong; None where nothing has lately."""
        return self._error if time.monotonic() - self._at < TROUBLE_SECONDS else None

    def log(self, level: int, msg: Any, /, *, exc_info: Any = None, extra: Any = None) -> None:  # noqa: ARG002
        """Keep an error."""
        if level >= logging.ERROR and isinstance(exc_info, Exception):
            self._error, self._at = exc_info, time.monotonic()


class _Header(bytes):
    """A header as it is: a foreign writer's bytes need not be text."""

    def encode(self) -> bytes:
        """Give the bytes, which aiokafka takes as such only."""
        return bytes(self)


def headers_as_they_are(headers: Mapping[str, bytes]) -> Any:
    """Have FastStream write headers as they are."""
    return {name: _Header(value) for name, value in headers.items()}


def open_broker(connection: KafkaConnection, largest_bytes: int, log: LastError) -> KafkaBroker:
    """Make a broker, connected when it starts; `largest_bytes` bounds what it publishes at once."""
    return KafkaBroker(
        connection.brokers.split(","),
        client_id=connection.client_id,
        security=_security(connection),
        allow_auto_create_topics=False,
        enable_idempotence=True,
        compression_type=COMPRESSION,
        max_request_size=largest_bytes,
        max_batch_size=largest_bytes,
        id_generator=str,  # none: or else each record got a header with it
        parser=_as_they_are,
        decoder=_records_of,
        apply_types=False,
        logger=log,
    )


def _security(connection: KafkaConnection) -> BaseSecurity:
    secured = connection.security_protocol.endswith("SSL")
    if not connection.security_protocol.startswith("SASL"):
        return BaseSecurity(connection.ssl_context, secured)
    sasl = SASL[connection.sasl_mechanism]
    return sasl(connection.sasl_username or "", connection.sasl_password or "", connection.ssl_context, secured)


async def _as_they_are(records: Records) -> KafkaMessage:
    return KafkaMessage(body=b"", raw_message=records, consumer=None)  # type: ignore[arg-type]  # never acknowledges


async def _records_of(message: StreamMessage[Records]) -> Records:
    return message.raw_message
