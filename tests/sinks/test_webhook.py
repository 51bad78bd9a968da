"""The webhook against a real HTTP server: what is told, how it is signed, and what becomes of it when that fails."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from memory_state import MemoryState
from standardwebhooks import Webhook, WebhookVerificationError
from webhook_receiver import WebhookReceiver, answer

from collector.bus.protocol import Batch, Outgoing, Record
from collector.example_records import example_records
from schemas.timestamps import SECOND_NS
from schemas.topics import APPROVALS, DEAD_LETTERS, DETECTIONS, HEALING_OUTCOMES
from sinks import webhook
from sinks.webhook import Receiver, ReceiverUnavailable, WebhookSink
from sinks.webhook_circuit import ReceiverCircuit
from sinks.webhook_events import Wanted
from sinks.webhook_request import secret_bytes

NOW_NS = time.time_ns()
EXAMPLES = {record.topic: record for record in example_records()}
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()


class Time:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Told:
    """A sink and the batch it is at."""

    def __init__(self, receiver: WebhookReceiver, wanted: Wanted | None = None, **options: Any) -> None:
        self.clock = Time()
        to = Receiver(url=receiver.url, **{"timeout_seconds": 5.0, **options})
        self.sink = WebhookSink("webhook", to, wanted or Wanted(), ReceiverCircuit(clock=self.clock))
        self.sink.restore(MemoryState())

    def deliver(self, *records: Record) -> list[Outgoing]:
        return list(self.sink.deliver(Batch(records, NOW_NS), "the batch", again=False).outputs)

    def wait(self) -> None:
        """Let the circuit's pause pass."""
        self.clock.seconds += 301


@pytest.fixture
def told(receiver: WebhookReceiver) -> Iterator[Told]:
    made = Told(receiver)
    yield made
    made.sink.close()


def record(offset: int = 0, topic: str = DETECTIONS, key: str | None = None, **changes: Any) -> Record:
    example = EXAMPLES[topic]
    document = {**orjson.loads(example.value), **changes}
    headers = {**example.headers, "tenant": document["tenant"].encode()}
    return Record(topic, 0, offset, key or example.key, orjson.dumps(document), headers, NOW_NS)


# --- what is told, and as what ---


def test_an_event_is_a_structured_cloudevent_with_the_records_json_in_it(receiver: WebhookReceiver, told: Told) -> None:
    detection = record()
    assert told.deliver(detection) == []
    (request,) = receiver.received
    event = json.loads(request.body)
    document = orjson.loads(detection.value)
    assert event.pop("data") == document
    assert event == {
        "specversion": "1.0",
        "id": f"{document['id']}.{document['version']}",
        "source": "tracemend/loop",
        "type": "tracemend.detection/1",
        "time": document["detected_at"],
        "subject": detection.key,
        "tenant": "default",
        "datacontenttype": "application/json",
    }
    assert request.headers["content-type"] == "application/cloudevents+json; charset=UTF-8"
    assert request.headers["webhook-id"] == request.headers["idempotency-key"] == event["id"]


def test_in_the_binary_mode_the_body_is_the_record_and_the_headers_are_the_event(receiver: WebhookReceiver) -> None:
    told = Told(receiver, mode="binary")
    detection = record(agent="Zoë", key='default/run "7" 100%\r\nx-evil: 1')
    told.deliver(detection)
    told.sink.close()
    (request,) = receiver.received
    assert request.body == detection.value
    assert request.headers["content-type"] == "application/json"
    assert request.headers["ce-type"] == "tracemend.detection/1"
    assert request.headers["ce-subject"] == "default/run%20%227%22%20100%25%0D%0Ax-evil:%201"
    assert "x-evil" not in request.headers


def test_a_receiver_verifies_the_signature_with_the_library_it_has(receiver: WebhookReceiver) -> None:
    told = Told(receiver, secret=secret_bytes(SECRET))
    told.deliver(record())
    told.sink.close()
    (request,) = receiver.received
    assert Webhook(SECRET).verify(request.body.decode(), dict(request.headers))["type"] == "tracemend.detection/1"
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(request.body.decode().replace("high", "info"), dict(request.headers))


def test_without_a_secret_nothing_is_signed(receiver: WebhookReceiver, told: Told) -> None:
    told.deliver(record())
    assert "webhook-signature" not in receiver.received[0].headers


@pytest.mark.parametrize(
    ("wanted", "seen"),
    [
        (Wanted(), {"a", "b", "c", "d"}),
        (Wanted(min_severity="high"), {"b", "d"}),
        (Wanted(types=frozenset({"cost"})), {"c"}),
        (Wanted(statuses=frozenset({"open"})), {"a", "b", "c"}),
        (Wanted(tenants=frozenset({"acme"})), {"b"}),
    ],
)
def test_detections_are_narrowed_down(receiver: WebhookReceiver, wanted: Wanted, seen: set[str]) -> None:
    told = Told(receiver, wanted)
    told.deliver(
        record(0, id="a", severity="low"),
        record(1, id="b", severity="high", tenant="acme"),
        record(2, id="c", severity="medium", type="cost"),
        record(3, id="d", severity="critical", status="withdrawn"),
    )
    told.sink.close()
    assert {json.loads(body)["data"]["id"] for body in receiver.bodies()} == seen


def test_of_approvals_the_questions_that_need_an_answer_are_told(receiver: WebhookReceiver, told: Told) -> None:
    told.deliver(
        record(0, APPROVALS, id="asked"),
        record(1, APPROVALS, id="suggested", kind="suggestion"),
        record(2, APPROVALS, id="answered", event="approved", who="ann"),
        record(0, HEALING_OUTCOMES, id="applied"),
    )
    assert {json.loads(body)["id"] for body in receiver.bodies()} == {"asked", "applied"}


def test_a_record_that_is_none_of_ours_is_put_aside_and_the_others_are_told(
    receiver: WebhookReceiver, told: Told
) -> None:
    foreign = record(0)._replace(value=b'{"schema": "x"}')
    another_tenants = record(1)._replace(headers={"tenant": b"acme"})
    dead = told.deliver(foreign, another_tenants, record(2))
    assert [letter.topic for letter in dead] == [DEAD_LETTERS] * 2
    assert {letter.headers["error-class"] for letter in dead} == {b"UnreadableEvent"}
    assert len(receiver.bodies()) == 1


def test_events_of_one_key_come_in_order(receiver: WebhookReceiver, told: Told) -> None:
    told.deliver(*(record(offset, key=f"k{offset % 3}", version=offset) for offset in range(18)))
    by_key: dict[str, list[int]] = {}
    for body in receiver.bodies():
        event = json.loads(body)
        by_key.setdefault(event["subject"], []).append(event["data"]["version"])
    assert {key: sorted(seen) for key, seen in by_key.items()} == by_key
    assert sum(map(len, by_key.values())) == 18


# --- when it fails ---


def test_what_was_told_is_not_told_again_when_the_rest_is(receiver: WebhookReceiver, told: Told) -> None:
    receiver.answers = [answer(204), answer(503, "over capacity")]
    records = [record(offset, id=f"d{offset}") for offset in range(4)]
    with pytest.raises(ReceiverUnavailable, match="answered 503: over capacity"):
        told.deliver(*records)
    told.wait()
    assert told.deliver(*records) == []
    ids = [json.loads(body)["data"]["id"] for body in receiver.bodies()]
    assert ids == ["d0", "d1", "d1", "d2", "d3"]


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_what_the_receiver_blames_on_the_event_is_put_aside(receiver: WebhookReceiver, told: Told, status: int) -> None:
    receiver.answers = [answer(status, "no such field")]
    (letter,) = told.deliver(record(0), record(1))
    assert letter.headers["error-class"] == b"EventRefused"
    assert b"no such field" in letter.headers["error-text"]
    assert letter.value == record(0).value
    assert len(receiver.bodies()) == 2


@pytest.mark.parametrize("status", [301, 307, 401, 403, 404, 405, 408, 410, 429, 500, 502, 503, 504])
def test_what_the_receiver_blames_on_itself_or_the_address_is_tried_again(
    receiver: WebhookReceiver, told: Told, status: int
) -> None:
    receiver.answers = [answer(status, location="http://127.0.0.1:1/elsewhere")]
    with pytest.raises(ReceiverUnavailable) as said:
        told.deliver(record())
    assert said.value.later
    assert str(status) in str(said.value)
    told.wait()
    assert told.deliver(record()) == []
    assert [one.path for one in receiver.received] == ["/hooks/s3cret-path"] * 2


def test_a_conflict_says_that_the_receiver_has_it(receiver: WebhookReceiver, told: Told) -> None:
    receiver.answers = [answer(409)]
    assert told.deliver(record()) == []


def garbage(connection: Any) -> None:
    connection.sendall(b"\x00\xff not HTTP at all\r\n\r\n")


def hang_up(connection: Any) -> None:
    connection.close()


def endless_headers(connection: Any) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000)


@pytest.mark.parametrize("broken", [garbage, hang_up, endless_headers])
def test_an_answer_that_is_none_is_tried_again_and_shows_no_more_than_the_host(
    receiver: WebhookReceiver, told: Told, broken: Any
) -> None:
    receiver.answers = [broken]
    with pytest.raises(ReceiverUnavailable) as said:
        told.deliver(record())
    assert str(receiver.port) in str(said.value)
    assert "s3cret-path" not in str(said.value)
    told.wait()
    assert told.deliver(record()) == []


def test_an_answer_without_an_end_is_not_read_to_its_end(receiver: WebhookReceiver, told: Told) -> None:
    done = threading.Event()

    def endless(connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n")
        try:
            while not done.is_set():
                connection.sendall(b"1000\r\n" + b"z" * 4096 + b"\r\n")
        except OSError:
            done.set()

    receiver.answers = [endless]
    (letter,) = told.deliver(record())
    assert len(letter.headers["error-text"]) <= 512
    assert done.wait(30), "the connection was still read from"


def test_a_receiver_that_dawdles_is_given_up_in_time(receiver: WebhookReceiver) -> None:
    told = Told(receiver, timeout_seconds=0.3)
    release = threading.Event()

    def dawdle(connection: Any) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        while not release.wait(0.05):  # one byte after the other: no single read is ever late
            connection.sendall(b"x")

    receiver.answers = [dawdle]
    with pytest.raises(ReceiverUnavailable, match="no answer in time"):
        told.deliver(record())
    release.set()
    told.wait()
    assert told.deliver(record()) == []
    told.sink.close()


def test_a_receiver_that_is_down_is_left_alone_and_then_tried_with_one_event(
    receiver: WebhookReceiver, told: Told
) -> None:
    receiver.usually = answer(503, retry_after="120")
    records = [record(offset, key=f"k{offset}", id=f"d{offset}") for offset in range(12)]
    with pytest.raises(ReceiverUnavailable):
        told.deliver(*records)
    first = len(receiver.received)
    assert first <= 4, "no more than were in flight"
    told.clock.seconds += 119
    with pytest.raises(ReceiverUnavailable, match="tried again in 1 s"):
        told.deliver(*records)
    assert len(receiver.received) == first
    told.clock.seconds += 2
    with pytest.raises(ReceiverUnavailable):
        told.deliver(*records)
    assert len(receiver.received) == first + 1
    receiver.usually = answer(200)
    told.wait()
    assert told.deliver(*records) == []
    assert {json.loads(one.body)["data"]["id"] for one in receiver.received[first + 1 :]} == {
        f"d{n}" for n in range(12)
    }


def test_nobody_at_the_address_is_said_and_waited_for(receiver: WebhookReceiver, told: Told) -> None:
    receiver.close()
    with pytest.raises(ReceiverUnavailable, match=str(receiver.port)):
        told.deliver(record())


def test_one_event_the_receiver_always_fails_with_holds_up_no_other_for_good(
    receiver: WebhookReceiver, told: Told
) -> None:
    receiver.respond = lambda request: answer(500, "bug") if b'"poison"' in request.body else answer(200)
    records = [record(0, key="a", id="poison"), record(1, key="a", id="after"), record(2, key="b", id="beside")]
    for _ in range(webhook.ATTEMPTS - 1):
        with pytest.raises(ReceiverUnavailable):
            told.deliver(*records)
        told.wait()
    (letter,) = told.deliver(*records)
    assert letter.headers["error-class"] == b"EventRefused"
    ids = [json.loads(body)["data"]["id"] for body in receiver.bodies()]
    assert (ids.count("poison"), ids.count("after"), ids.count("beside")) == (webhook.ATTEMPTS, 1, 1)


def test_events_that_are_no_news_any_more_are_passed_over(receiver: WebhookReceiver) -> None:
    told = Told(receiver, max_age_seconds=60.0)
    old = record(0, id="old")._replace(append_ns=NOW_NS - 61 * SECOND_NS)
    assert told.deliver(old, record(1, id="new")) == []
    told.sink.close()
    assert [json.loads(body)["data"]["id"] for body in receiver.bodies()] == ["new"]


def test_after_a_restart_the_same_event_has_the_same_id(receiver: WebhookReceiver, told: Told) -> None:
    told.deliver(record())
    another = Told(receiver)
    another.deliver(record())
    another.sink.close()
    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert first.body == second.body


def test_a_pause_doubles_up_to_the_longest_and_ends_with_a_success() -> None:
    clock = Time()
    circuit = ReceiverCircuit(longest_seconds=8, clock=clock)
    waits = []
    for _ in range(6):
        circuit.failed("down")
        waits.append(circuit.wait_seconds())
    assert waits == [1, 2, 4, 8, 8, 8]
    clock.seconds += 8
    assert (circuit.is_open, circuit.wait_seconds()) == (True, 0)
    circuit.succeeded()
    circuit.failed("down", retry_after_seconds=5)
    assert circuit.wait_seconds() == 5
    circuit.failed("down", retry_after_seconds=1e9)
    assert circuit.wait_seconds() == 8
