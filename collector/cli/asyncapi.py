"""`tracemend asyncapi`: the topics as an AsyncAPI document, for the bus that is configured."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import orjson

from collector.asyncapi_document import asyncapi_document
from collector.cli.configuration import load_settings
from collector.cli.output import check_format
from config.settings import Settings
from config.sources import dump


def print_asyncapi(config: Sequence[Path], set_: Sequence[str], data_dir: Path | None, format_: str) -> int:
    """Print the document; returns the exit status."""
    check_format(format_, ("yaml", "json"))
    document = _document(load_settings(config, set_, data_dir))
    sys.stdout.write(
        dump(document) if format_ == "yaml" else orjson.dumps(document, option=orjson.OPT_INDENT_2).decode()
    )
    return 0


def _document(settings: Settings) -> dict[str, object]:
    bus = settings.bus
    if bus.kafka is None:
        return asyncapi_document(prefix=bus.prefix)
    kafka = bus.kafka
    mechanism = kafka.sasl.mechanism if kafka.sasl is not None else ""
    return asyncapi_document(kafka.brokers, bus.prefix, bus.partition_count, kafka.tls is not None, mechanism)
