"""The SDKs of Python, JavaScript, Go and Java through both doors: what they send is what the bus holds."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, NamedTuple

import pytest
from built_clients import PROGRAMS, built
from described_trace import DESCRIPTION, RESOURCE, SPANS, arrived, described, expected
from open_doors import OpenDoors
from prometheus_client import REGISTRY
from refusals import Refusals

from collector.receivers.api_keys import ApiKey, hash_of, new_key
from collector.receivers.intake import NoKey
from schemas.topics import TENANT_HEADER

pytestmark = [pytest.mark.exporters, pytest.mark.timeout(1800)]

TRACES = 7
RUN_SECONDS = 60
COMPRESSIONS = ("none", "gzip")
TIMES_REFUSED = 2
KEY = new_key()
REFUSED = "tracemend_receiver_refused_requests"


class Way(NamedTuple):
    """How an exporter sends."""

    protocol: str
    compression: str


class Sdk(NamedTuple):
    """An SDK: the protocols it has, its language's name, the types of values it lacks, where it never tries again."""

    protocols: tuple[str, ...]
    language: str
    lacks: frozenset[str] = frozenset()
    gives_up: frozenset[str] = frozenset()


SDKS = {
    "python": Sdk(("grpc", "http/protobuf"), "python"),
    "js": Sdk(
        ("grpc", "http/protobuf", "http/json"),
        "nodejs",
        lacks=frozenset({"int64", "bytes", "map"}),
        gives_up=frozenset({"grpc"}),  # its gRPC transport hands any error back as final
    ),
    "go": Sdk(("grpc", "http/protobuf"), "go"),
    "java": Sdk(("grpc", "http/protobuf"), "java"),
}
WAYS = {
    name: [Way(protocol, compression) for protocol in sdk.protocols for compression in COMPRESSIONS]
    for name, sdk in SDKS.items()
}
Ids = list[list[str]]
"""Of each trace: its id and those of its spans."""


def run(name: str, ways: Sequence[tuple[Way, str]], traces: int, key: str = "", fails: bool = False) -> list[Ids]:
    """Have a client send through doors, one way after the other; returns the ids of what it sent.

    Some SDKs end the client where an export fails for good, others only write a log.
    """
    exports = [{**way._asdict(), "endpoint": endpoint, "key": key} for way, endpoint in ways]
    job = json.dumps({"trace": str(DESCRIPTION), "traces": traces, "exports": exports})
    command = [*PROGRAMS[name].run, job]
    done = subprocess.run(command, cwd=built(name), capture_output=True, text=True, timeout=RUN_SECONDS, check=False)
    assert fails or done.returncode == 0, done.stderr
    sent: list[Ids] = json.loads(done.stdout) if done.stdout else []
    return sent


def endpoint(doors: OpenDoors, way: Way) -> str:
    return doors.grpc if way.protocol == "grpc" else doors.http


def spans_of(sent: Ids, doors: OpenDoors) -> list[tuple[dict[str, Any], dict[str, bytes]]]:
    traces = {trace for trace, *_ in sent}
    return [one for one in arrived(record.value for record in doors.stored()) if one[0]["trace"] in traces]


@pytest.fixture(scope="module")
def exported(doors: OpenDoors) -> Any:
    """Each language's client runs once, sending every way it can."""

    @cache
    def by_way(name: str) -> dict[Way, Ids]:
        return dict(
            zip(WAYS[name], run(name, [(way, endpoint(doors, way)) for way in WAYS[name]], TRACES), strict=True)
        )

    return by_way


@pytest.mark.parametrize(("name", "way"), [(name, way) for name in SDKS for way in WAYS[name]], ids=str)
def test_what_an_sdk_sends_is_what_the_bus_holds(doors: OpenDoors, exported: Any, name: str, way: Way) -> None:
    sent: Ids = exported(name)[way]
    found = spans_of(sent, doors)
    assert len(sent) == TRACES
    assert len(found) == TRACES * len(SPANS)
    wanted = [span for ids in sent for span in expected(ids, SDKS[name].lacks)]
    by_id = {span["span"]: span for span, _ in found}
    for span in wanted:
        assert by_id[span["span"]] == span
    for _, resource in found:
        assert resource.items() >= described(RESOURCE, SDKS[name].lacks).items()
        assert SDKS[name].language.encode() in resource["telemetry.sdk.language"]


@pytest.mark.parametrize(
    ("name", "protocol"),
    [(name, one) for name, sdk in SDKS.items() for one in sdk.protocols if one not in sdk.gives_up],
)
def test_an_sdk_that_is_told_to_come_again_does_and_each_span_arrives_once(
    own_doors: OpenDoors, monkeypatch: pytest.MonkeyPatch, name: str, protocol: str
) -> None:
    refusals = Refusals(own_doors, monkeypatch, TIMES_REFUSED, retry_seconds=0.2)
    way = Way(protocol, "gzip")
    (sent,) = run(name, [(way, endpoint(own_doors, way))], 2)
    assert len(refusals.at) == TIMES_REFUSED + 1
    found = sorted(span["span"] for span, _ in spans_of(sent, own_doors))
    assert found == sorted(span for _, *spans in sent for span in spans)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenDoors]:
    opened = OpenDoors(tmp_path_factory.mktemp("locked"), keys=[ApiKey(tenant="acme", hash=hash_of(KEY))])
    yield opened
    opened.close()


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_with_an_api_key_sends_for_its_tenant(locked: OpenDoors, name: str) -> None:
    ways = [Way(protocol, "none") for protocol in SDKS[name].protocols]
    sent = run(name, [(way, endpoint(locked, way)) for way in ways], 1, KEY)
    records = [record for record in locked.stored() if record.headers.get(TENANT_HEADER) == b"acme"]
    found = {span["span"] for span, _ in arrived(record.value for record in records)}
    assert found >= {span for ids in sent for _, *spans in ids for span in spans}


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_with_another_key_is_refused_and_does_not_try_again(locked: OpenDoors, name: str) -> None:
    stored, refused = len(locked.stored()), refused_for_their_key()
    ways = [Way(protocol, "gzip") for protocol in SDKS[name].protocols]
    for way in ways:
        run(name, [(way, endpoint(locked, way))], 1, new_key(), fails=True)
    assert len(locked.stored()) == stored
    assert refused_for_their_key() == refused + len(ways)


def refused_for_their_key() -> float:
    values = [
        REGISTRY.get_sample_value(REFUSED, {"transport": transport, "reason": NoKey.kind})
        for transport in ("grpc", "http")
    ]
    return sum(value or 0.0 for value in values)
