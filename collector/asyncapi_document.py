"""The AsyncAPI 3 document of the topics: for whoever writes a program against them.

Composed here rather than by FastStream: what FastStream derives from subscribers leaves out the keys, the headers
and the examples, adds a correlation id that our records do not carry, says `application/json` of every topic, and
writes the payload of a Python model of its own where `schemas/json/` already says what is valid.
A test reads the document's channels with a FastStream subscriber all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import orjson

from collector.bus.protocol import Outgoing
from collector.example_records import example_records
from schemas.channels import CHANNELS, JSON, RECEIVE, SEND, Channel, json_schema
from schemas.topics import BY_NAME, CONTENT_TYPE_HEADER, TENANT_HEADER

ASYNCAPI = "3.0.0"
BINDING = "0.5.0"
SASL = {"PLAIN": "plain", "SCRAM-SHA-256": "scramSha256", "SCRAM-SHA-512": "scramSha512"}
"""The names that AsyncAPI has for the mechanisms of `bus::kafka::sasl`."""
PLACEHOLDER = "localhost:9092"
ALWAYS_THERE = (TENANT_HEADER, CONTENT_TYPE_HEADER, "ce_specversion", "ce_type", "ce_source", "ce_id")
DESCRIPTION = (
    "What goes wrong in LLM agent runs, as it is found, and what is done about it. "
    "Subscribe to detections; the topics that are JSON are stable, a change is a new schema version beside the old. "
    "Delivery is at least once for readers that do not read committed: ce_id names an event."
)
Document = dict[str, Any]


def asyncapi_document(
    brokers: Sequence[str] = (),
    prefix: str = "",
    partitions: int | None = None,
    encrypted: bool = False,
    sasl_mechanism: str = "",
) -> Document:
    """Compose it. Without brokers the server is a placeholder; `partitions` is how many each topic has, if known.

    `encrypted` and `sasl_mechanism` say how the brokers are reached; passwords are not asked for.
    """
    examples = {record.topic: record for record in example_records()}
    return {
        "asyncapi": ASYNCAPI,
        "info": {
            "title": "Tracemend topics",
            "version": version("tracemend"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": JSON,
        "servers": _servers(brokers, "kafka-secure" if encrypted else "kafka", sasl_mechanism),
        "channels": {channel.topic: _channel(channel, prefix, partitions) for channel in CHANNELS},
        "operations": {
            f"{action}_{channel.topic}": _operation(channel, action)
            for channel in CHANNELS
            for action in channel.actions
        },
        "components": {
            "messages": {channel.message: _message(channel, examples.get(channel.topic)) for channel in CHANNELS},
            "schemas": {channel.schema: _payload(channel.schema) for channel in CHANNELS if channel.schema},
            **({"securitySchemes": {"sasl": {"type": SASL[sasl_mechanism]}}} if sasl_mechanism else {}),
        },
    }


def _servers(brokers: Sequence[str], protocol: str, sasl_mechanism: str) -> Document:
    if not brokers:
        variable = {"default": PLACEHOLDER, "description": "A bootstrap server, as bus::kafka::brokers names it."}
        return {"kafka": {"host": "{bootstrap}", "protocol": protocol, "variables": {"bootstrap": variable}}}
    security = {"security": [{"$ref": "#/components/securitySchemes/sasl"}]} if sasl_mechanism else {}
    return {
        f"broker{number}": {"host": host, "protocol": protocol, **security} for number, host in enumerate(brokers, 1)
    }


def _channel(channel: Channel, prefix: str, partitions: int | None) -> Document:
    topic = BY_NAME[channel.topic]
    kept: Document = {"cleanup.policy": ["compact"]} if topic.compacted else {"cleanup.policy": ["delete"]}
    if not topic.compacted:
        kept["retention.ms"] = topic.retention_seconds * 1000
    kept["max.message.bytes"] = topic.max_message_bytes
    binding: Document = {"topic": prefix + topic.name, "topicConfiguration": kept, "bindingVersion": BINDING}
    if partitions is not None:
        binding["partitions"] = partitions
    return {
        "address": prefix + topic.name,
        "description": channel.what,
        "messages": {channel.message: {"$ref": f"#/components/messages/{channel.message}"}},
        "bindings": {"kafka": binding},
        "tags": [{"name": "public JSON" if topic.public_json else "open" if channel.actions else "internal"}],
    }


def _operation(channel: Channel, action: str) -> Document:
    does = {SEND: "Tracemend writes; subscribe to read.", RECEIVE: "Tracemend reads; others may write."}
    at = f"#/channels/{channel.topic}"
    return {
        "action": action,
        "channel": {"$ref": at},
        "summary": does[action],
        "messages": [{"$ref": f"{at}/messages/{channel.message}"}],
    }


def _message(channel: Channel, example: Outgoing | None) -> Document:
    message: Document = {
        "name": channel.message,
        "summary": channel.what,
        "contentType": channel.content_type,
        "headers": _headers(channel, example),
        "bindings": {"kafka": {"key": _key(channel, example), "bindingVersion": BINDING}},
    }
    if channel.schema:
        message["payload"] = {"$ref": f"#/components/schemas/{channel.schema}"}
    if channel.reference:
        message["externalDocs"] = {"url": channel.reference}
    if example is not None:
        message["examples"] = [_example(channel, example)]
    return message


def _key(channel: Channel, example: Outgoing | None) -> Document:
    encoded = "" if channel.reference else "; each part percent-encoded"
    key: Document = {"type": "string", "description": channel.key + encoded}
    if example is not None:
        key["examples"] = [example.key]
    return key


def _headers(channel: Channel, example: Outgoing | None) -> Document:
    """Say which headers there are: those of CloudEvents where the value is JSON; all values are UTF-8."""
    fields: dict[str, Document] = {
        TENANT_HEADER: {"type": "string", "description": "Whose it is; absent: default."},
        **{name: {"type": "string", "description": what} for name, what in _own_headers(channel).items()},
    }
    if example is None:
        return {"type": "object", "properties": fields}
    fields |= {
        CONTENT_TYPE_HEADER: {"const": JSON},
        "ce_specversion": {"const": "1.0"},
        "ce_type": {"const": example.headers["ce_type"].decode()},
        "ce_source": {"type": "string", "description": "The part that says it, as in tracemend/loop."},
        "ce_id": {"type": "string", "description": "Names the event; the same whenever it is told again."},
    }
    if "ce_time" in example.headers:
        fields["ce_time"] = {"type": "string", "format": "date-time"}
    return {"type": "object", "required": list(ALWAYS_THERE), "properties": fields}


def _own_headers(channel: Channel) -> dict[str, str]:
    if channel.topic == "dead_letters":
        return {
            "original-topic": "Where the record stood.",
            "original-partition": "Its partition there.",
            "original-offset": "Its offset there.",
            "original-size": "Its size in bytes; more than the value has where that was cut.",
            "error-class": "What kind of error it made.",
            "error-text": "What the error said.",
            "stage": "Who could not handle it.",
        }
    if channel.topic == "escalations":
        return {"next_tier": "Who is to look: embedding (a second look, or without one the judge), judge, human."}
    return {"content-hash": "xxh3 of tenant and value, by which repeats are known."} if channel.reference else {}


def _example(channel: Channel, record: Outgoing) -> Document:
    return {
        "name": channel.message,
        "headers": {name: value.decode() for name, value in record.headers.items()},
        "payload": orjson.loads(record.value),
    }


def _payload(name: str) -> Document:
    """Give a published schema as AsyncAPI's own (draft 7) reads it: the keywords we use mean the same in both."""
    return {key: value for key, value in json_schema(name).items() if key not in ("$schema", "$id")}
