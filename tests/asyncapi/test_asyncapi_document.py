"""The AsyncAPI document is one, names every topic, and shows examples that its own schemas and our readers accept."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from jsonschema import Draft7Validator, Draft202012Validator  # type: ignore[import-untyped]  # as elsewhere

from collector.asyncapi_document import SASL, asyncapi_document
from collector.bus.protocol import Outgoing, Record
from collector.example_records import FINDING, SUBJECT, example_records
from healing.events import outgoing
from healing.published_detections import read_detection
from schemas.channels import CHANNELS, JSON, json_schema
from schemas.healing import Approval, Document, HealingRequest, Outcome, Policy, decode
from schemas.topics import TOPICS

SPECIFICATION = orjson.loads((Path(__file__).parent / "asyncapi-specs" / "3.0.0.json").read_bytes())
DOCUMENT = asyncapi_document()
EXAMPLES = {record.topic: record for record in example_records()}
KINDS: dict[str, type[Document]] = {
    "healing": HealingRequest,
    "approvals": Approval,
    "healing_outcomes": Outcome,
    "policies": Policy,
}
# The keywords that a draft 7 validator, which is what AsyncAPI's tools are, reads as a draft 2020-12 one does.
COMMON_KEYWORDS = {
    *("type", "const", "enum", "required", "properties", "items", "minItems", "maxItems", "minLength", "maxLength"),
    *("minimum", "maximum", "format", "title", "description", "anyOf", "allOf", "if", "then", "else"),
}


def resolve(document: dict[str, Any], reference: str) -> Any:
    found: Any = document
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def references(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
        return own + [found for value in node.values() for found in references(value)]
    return [found for item in node for found in references(item)] if isinstance(node, list) else []


@pytest.mark.parametrize(
    "document",
    [
        DOCUMENT,
        asyncapi_document(["one:9092", "two:9092"], "acme.", 12),
        *(asyncapi_document(["one:9092"], "", 1, True, mechanism) for mechanism in SASL),  # noqa: FBT003
    ],
    ids=["placeholder", "configured", *SASL],
)
def test_it_is_valid_by_the_specifications_own_schema(document: dict[str, Any]) -> None:
    Draft7Validator(SPECIFICATION).validate(document)


@pytest.mark.parametrize(
    "part", ["info::title", "channels::detections::bindings", "components::messages::detection::examples"]
)
def test_the_specifications_schema_would_have_noticed(part: str) -> None:
    broken = json.loads(json.dumps(DOCUMENT))
    *path, last = part.split("::")
    resolve(broken, "/".join(path))[last] = 7
    assert not Draft7Validator(SPECIFICATION).is_valid(broken)


def test_every_reference_in_it_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert len(found) > len(TOPICS)
    assert [resolve(DOCUMENT, reference) for reference in found]


def test_every_topic_is_a_channel_and_the_public_ones_have_a_schema_and_an_example() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in TOPICS}
    public = {topic.name for topic in TOPICS if topic.public_json}
    assert {channel.topic for channel in CHANNELS if channel.schema} == public == set(EXAMPLES)
    assert {channel.topic for channel in CHANNELS if channel.content_type == JSON} == public


@pytest.mark.parametrize("channel", [one for one in CHANNELS if one.schema], ids=lambda one: str(one.topic))
def test_an_example_is_valid_by_the_schemas_beside_it(channel: Any) -> None:
    message = DOCUMENT["components"]["messages"][channel.message]
    (example,) = message["examples"]
    Draft7Validator(message["headers"]).validate(example["headers"])
    Draft7Validator(resolve(DOCUMENT, message["payload"]["$ref"])).validate(example["payload"])
    Draft202012Validator(json_schema(channel.schema)).validate(example["payload"])
    assert not Draft7Validator(message["headers"]).is_valid({**example["headers"], "ce_type": "another"})


@pytest.mark.parametrize("topic", sorted(KINDS))
def test_our_reader_takes_an_example_and_our_writer_writes_it_again(topic: str) -> None:
    record = EXAMPLES[topic]
    assert outgoing(decode(KINDS[topic], record.value)) == record


def test_our_reader_takes_the_detection() -> None:
    record: Outgoing = EXAMPLES["detections"]
    read = read_detection(Record(record.topic, 0, 0, record.key, record.value, record.headers, 0))
    assert (read.type, read.service, read.evidence) == (FINDING.type, SUBJECT.service, FINDING.evidence)
    assert record.headers["ce_id"] == f"{read.id}.{read.version}".encode()


@pytest.mark.parametrize("name", sorted(one.schema for one in CHANNELS if one.schema))
def test_a_schema_says_the_same_to_validators_of_either_draft(name: str) -> None:
    assert keywords(json_schema(name)) - {"$schema", "$id"} <= COMMON_KEYWORDS


def keywords(schema: Any) -> set[str]:
    """Collect the keywords of a schema: not the names of properties, nor what stands in constants."""
    if isinstance(schema, list):
        return {word for one in schema for word in keywords(one)}
    if not isinstance(schema, dict):
        return set()
    below = [*schema.get("properties", {}).values()]
    below += [value for key, value in schema.items() if key not in ("properties", "enum", "const", "required")]
    return set(schema) | {word for one in below for word in keywords(one)}


def test_the_prefix_stands_before_every_address_and_brokers_are_servers() -> None:
    document = asyncapi_document(["one:9092", "two:9092"], "acme.", 12)
    for topic, channel in document["channels"].items():
        assert channel["address"] == channel["bindings"]["kafka"]["topic"] == f"acme.{topic}"
        assert channel["bindings"]["kafka"]["partitions"] == 12
    assert [server["host"] for server in document["servers"].values()] == ["one:9092", "two:9092"]


@pytest.mark.parametrize(("format_", "read"), [("json", orjson.loads), ("yaml", yaml.safe_load)])
def test_the_command_prints_it_with_the_prefix_that_is_configured(format_: str, read: Any) -> None:
    command = [sys.executable, "-m", "collector.cli.main", "asyncapi", "--format", format_, "--set", "bus::prefix=t-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert read(done.stdout) == asyncapi_document(prefix="t-")


def test_the_command_says_how_the_configured_brokers_are_reached_and_no_password() -> None:
    sasl = "{mechanism: SCRAM-SHA-512, username: u, password: hunter2}"
    kafka = f"bus::kafka={{brokers: 'a:9092, b:9092', tls: {{}}, sasl: {sasl}}}"
    command = [sys.executable, "-m", "collector.cli.main", "asyncapi", "--format", "json", "--set", kafka]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    document = orjson.loads(done.stdout)
    assert [server["host"] for server in document["servers"].values()] == ["a:9092", "b:9092"]
    assert {server["protocol"] for server in document["servers"].values()} == {"kafka-secure"}
    assert document["components"]["securitySchemes"]["sasl"] == {"type": "scramSha512"}
    assert document["channels"]["detections"]["bindings"]["kafka"]["partitions"] == 12
    assert "hunter2" not in done.stdout
