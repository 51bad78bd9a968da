"""Why nobody could be reached: aiokafka only says that it tried, so the first broker is tried once more by itself."""

from __future__ import annotations

import asyncio

from aiokafka.conn import create_conn

from collector.bus.kafka_connection import KafkaConnection

TRY_SECONDS = 5.0
DEFAULT_PORT = "9092"


async def reason_for(error: Exception, connection: KafkaConnection) -> Exception:
    """Give what the first broker answers to a connection, or the error there was where it answers well."""
    first = connection.brokers.split(",")[0].strip()
    host, _, port = first.rpartition(":") if ":" in first else (first, "", DEFAULT_PORT)
    options = {name: value for name, value in connection.options().items() if name != "bootstrap_servers"}
    try:
        async with asyncio.timeout(TRY_SECONDS):
            reached = await create_conn(host.strip("[]"), int(port), **options)
    except Exception as found:  # noqa: BLE001  # it is given back
        return found
    reached.close()
    return error
