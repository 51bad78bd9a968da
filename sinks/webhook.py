"""Tells what was found and what healing does to an HTTP receiver, each event at least once and under one id.

A batch is told in part and the rest tried again, so a receiver that fails now and then gets each event once as long
as this process lives; after a crash it may get some again, with the same `webhook-id`.

ReceiverUnavailable    later: the receiver, or the address, does not take events now
EventRefused           never: the receiver does not want this event, or fails with it time after time
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp

from collector.bus.dead_letters import dead_letter
from collector.bus.protocol import Batch, Handled, Outgoing, Record, State
from schemas.metrics import WEBHOOK_CIRCUIT_OPEN, WEBHOOK_EVENTS
from schemas.timestamps import SECOND_NS
from sinks.webhook_circuit import ReceiverCircuit
from sinks.webhook_events import Event, UnreadableEvent, Wanted, event_of
from sinks.webhook_post import Answer, Verdict, open_session, post
from sinks.webhook_request import STRUCTURED, request_of

AT_ONCE = 20
"""Events a batch holds at most: a stop has to wait for the batch."""
ATTEMPTS = 16
"""How often an event is tried that the receiver fails with while it is up."""
AGENT = "tracemend-webhook/1"


class ReceiverUnavailable(Exception):  # noqa: N818  # named by what the driver should know
    """Nobody takes events now."""

    later = True


class EventRefused(Exception):  # noqa: N818  # named by what operators look for
    """The receiver does not take this event."""


@dataclass(frozen=True)
class Receiver:
    """Where events go, and how. `url` is a secret as a whole: only its host is ever shown."""

    url: str = field(repr=False)
    secret: bytes = field(default=b"", repr=False)
    mode: str = STRUCTURED
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 10.0
    max_in_flight: int = 4
    max_age_seconds: float = 86_400.0
    ca_file: Path | None = None

    @property
    def host(self) -> str:
        """Say where it is, without what may be secret."""
        split = urlsplit(self.url)
        return f"{split.scheme}://{split.hostname}" + (f":{split.port}" if split.port else "")


class Pending(NamedTuple):
    """An event that is still to be told, and the record it stands in."""

    record: Record
    event: Event


class WebhookSink:
    """A delivery to one receiver; owned by one thread. `circuit` is shared by all that tell the same receiver."""

    max_records = AT_ONCE
    flush_seconds = 0.05
    at_least_once = True
    """Ids make repeats known, so it needs no transaction: on Kafka a FastStream application serves it."""

    def __init__(self, name: str, receiver: Receiver, wanted: Wanted, circuit: ReceiverCircuit | None = None) -> None:
        self.group = f"sinks/{name}"
        self.topics: Sequence[str] = wanted.topics
        self._receiver = receiver
        self._wanted = wanted
        self._circuit = circuit or ReceiverCircuit()
        self._runner: asyncio.Runner | None = None
        self._session: aiohttp.ClientSession | None = None
        self._token = ""
        self._settled: set[tuple[str, int, int]] = set()
        """Records of the batch in hand that need nothing more."""
        self._attempts: dict[tuple[str, int, int], int] = {}
        self._dead: list[Outgoing] = []
        self._down = False
        """Whether the receiver was found down while the batch was told: no more is begun."""

    def restore(self, state: State) -> None:
        """Nothing is kept in the state: the offsets say what was told."""

    def deliver(self, batch: Batch, token: str, again: bool) -> Handled:  # noqa: ARG002  # ids make repeats known
        """Tell what of a batch is still to be told; raises ReceiverUnavailable while some of it is."""
        if token != self._token:
            self._token, self._dead = token, []
            self._settled.clear()
            self._attempts.clear()
        pending = self._pending(batch)
        if pending:
            self._wait_for_the_circuit()
            self._tell(pending)
        return Handled(self._dead)

    def close(self) -> None:
        """Disconnect."""
        runner, session, self._runner, self._session = self._runner, self._session, None, None
        if runner is not None:
            if session is not None:
                runner.run(session.close())
            runner.close()

    # --- what is to be told ---

    def _pending(self, batch: Batch) -> list[Pending]:
        oldest_ns = batch.now_ns - int(self._receiver.max_age_seconds * SECOND_NS)
        open_records = [record for record in batch.records if _place(record) not in self._settled]
        return [one for record in open_records for one in self._if_wanted(record, oldest_ns)]

    def _if_wanted(self, record: Record, oldest_ns: int) -> Iterable[Pending]:
        try:
            event = event_of(record, self._wanted)
        except UnreadableEvent as error:
            self._refused(record, error)
            return
        if event is None:
            self._settled.add(_place(record))
        elif record.append_ns < oldest_ns:
            self._settle(record, "too_old")
        else:
            yield Pending(record, event)

    # --- telling ---

    def _wait_for_the_circuit(self) -> None:
        wait = self._circuit.wait_seconds()
        if wait > 0:
            raise ReceiverUnavailable(f"{self._circuit.reason}; tried again in {wait:.0f} s")

    def _tell(self, pending: Sequence[Pending]) -> None:
        if self._runner is None:
            self._runner = asyncio.Runner()
        worst = self._runner.run(self._tell_all(pending))
        if worst is None:
            self._circuit.succeeded()
            WEBHOOK_CIRCUIT_OPEN.labels(sink=self.group).set(0)
            return
        reason = f"{self._receiver.host} {worst.reason}"
        self._circuit.failed(reason, worst.retry_after_seconds)
        WEBHOOK_CIRCUIT_OPEN.labels(sink=self.group).set(1)
        raise ReceiverUnavailable(reason)

    async def _tell_all(self, pending: Sequence[Pending]) -> Answer | None:
        """Tell events, those of one key in order; returns an answer that asks for another try, if there was one."""
        self._down = False
        trial = await self._tell_in_order(pending[:1]) if self._circuit.is_open else None
        by_key: dict[str, list[Pending]] = {}
        for one in pending:
            if _place(one.record) not in self._settled:
                by_key.setdefault(one.record.key, []).append(one)
        if trial is not None:
            del by_key[pending[0].record.key]  # what comes after it waits for it
        room = asyncio.Semaphore(self._receiver.max_in_flight)
        answers = await asyncio.gather(*(self._tell_in_room(events, room) for events in by_key.values()))
        failures = [answer for answer in (trial, *answers) if answer is not None]
        return max(failures, key=lambda answer: answer.retry_after_seconds, default=None)

    async def _tell_in_room(self, events: Sequence[Pending], room: asyncio.Semaphore) -> Answer | None:
        async with room:
            return await self._tell_in_order(events)

    async def _tell_in_order(self, events: Sequence[Pending]) -> Answer | None:
        """Tell events one after the other, up to the first that has to be tried again."""
        for record, event in events:
            if self._down:
                return None
            answer = await self._post(event)
            if answer.verdict == Verdict.TOLD:
                self._settle(record, "told")
            elif answer.verdict == Verdict.NEVER or self._has_failed_too_often(record, answer):
                self._refused(record, EventRefused(f"{self._receiver.host} {answer.reason}"))
            else:
                self._down = self._down or answer.verdict == Verdict.DOWN
                return answer
        return None

    async def _post(self, event: Event) -> Answer:
        if self._session is None:
            receiver = self._receiver
            self._session = open_session(receiver.timeout_seconds, receiver.max_in_flight, receiver.ca_file)
        headers, body = request_of(event, self._receiver.mode, self._receiver.secret, int(time.time()))
        return await post(
            self._session, self._receiver.url, {"user-agent": AGENT, **self._receiver.headers, **headers}, body
        )

    def _has_failed_too_often(self, record: Record, answer: Answer) -> bool:
        if answer.verdict != Verdict.FAILED:
            return False
        tries = self._attempts[_place(record)] = self._attempts.get(_place(record), 0) + 1
        return tries >= ATTEMPTS

    def _refused(self, record: Record, error: Exception) -> None:
        self._settle(record, "refused")
        self._dead.append(dead_letter(record, error, self.group))

    def _settle(self, record: Record, outcome: str) -> None:
        self._settled.add(_place(record))
        WEBHOOK_EVENTS.labels(sink=self.group, outcome=outcome).inc()


def _place(record: Record) -> tuple[str, int, int]:
    return record.topic, record.partition, record.offset
