"""The crash harness: a seeded hand that kills what a client sends to.

Kills are placed by how many requests were acknowledged, so that a seed says what was killed when, on any machine.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

from patient_client import PatientClient
from pipeline_process import PipelineProcess

TIGHT = (
    "bus::embedded::max_bytes=1048576",
    "processors::cost::budgets::run_usd=0.0001",
    "healing::max_age_seconds=86400",
)
"""So small a log that retention is always at work; so small a budget that there is more to find; and what is found in
spans that were made for the first of many seeds still heals by itself at the last one."""
SETTLE_SECONDS = 240.0
LONGEST_START_SECONDS = 1.5


class Kill(NamedTuple):
    """What is done once so many requests were acknowledged."""

    after: int
    what: str


def plan_of(seed: int, kills: int, requests: int) -> list[Kill]:
    """Place the kills of a seed: each kind comes round before one comes again."""
    chance = Random(seed)  # noqa: S311  # no secret
    kinds = sorted(KINDS)
    chance.shuffle(kinds)
    places = sorted(chance.sample(range(1, requests), kills))
    return [Kill(place, kinds[number % len(kinds)]) for number, place in enumerate(places)]


class Hand:
    """Kills, and starts again. Everything it does at random comes from its seed."""

    def __init__(self, pipeline: PipelineProcess, seed: int) -> None:
        self._pipeline = pipeline
        self._chance = Random(seed)  # noqa: S311  # no secret

    def does(self, kill: Kill) -> None:
        """Kill what a plan says, and see to it that a pipeline runs again."""
        KINDS[kill.what](self)

    def everything(self) -> None:
        """Kill all processes at once, as a power cut does."""
        self._pipeline.kill()
        self._pipeline.start()

    def supervisor(self) -> None:
        """Kill the first process: all others have to go by themselves."""
        self._process.kill()
        self._process.wait()
        self._start_again()

    def one_of_several(self) -> None:
        """Kill one process, which the first one starts again."""
        children = dict((self._pipeline.info() or {}).get("processes", {}))
        others = sorted(pid for pid in children.values() if pid != self._process.pid)
        if not others:
            return self.everything()
        os.kill(self._chance.choice(others), signal.SIGKILL)
        return None

    def while_it_stops(self) -> None:
        """Ask for an end, and do not wait for it."""
        self._process.send_signal(signal.SIGTERM)
        time.sleep(self._chance.random())
        self._end()
        self._start_again()

    def while_it_starts(self) -> None:
        """Kill everything, and again somewhere on the way to being ready: in a migration, in restoring state."""
        self._pipeline.kill()
        for _ in range(2):
            self._pipeline.spawn()
            time.sleep(self._chance.random() * LONGEST_START_SECONDS)
            self._end()
        self._start_again()

    @property
    def _process(self) -> subprocess.Popen[str]:
        assert self._pipeline.process is not None
        return self._pipeline.process

    def _end(self) -> None:
        if self._process.poll() is None:
            self._pipeline.kill()

    def _start_again(self) -> None:
        """Start; the lock of a process that is just dying may be held for a moment."""
        until = time.monotonic() + 20
        while True:
            try:
                self._pipeline.start()
            except RuntimeError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
            else:
                return


KINDS: dict[str, Callable[[Hand], None]] = {
    "everything": Hand.everything,
    "supervisor": Hand.supervisor,
    "one of several": Hand.one_of_several,
    "while it stops": Hand.while_it_stops,
    "while it starts": Hand.while_it_starts,
}


class Disturbed(NamedTuple):
    """A pipeline that was killed, and how often its client had to send again."""

    pipeline: PipelineProcess
    repeated: int


def undisturbed(folder: Path, bodies: list[bytes]) -> PipelineProcess:
    """Send everything to a pipeline that is left alone."""
    pipeline = PipelineProcess(folder / "undisturbed", *TIGHT).start()
    client = PatientClient(pipeline, bodies)
    client.start()
    client.reached(len(bodies))
    pipeline.settle(SETTLE_SECONDS)
    return pipeline


def disturbed(folder: Path, bodies: list[bytes], seed: int, plan: list[Kill], processes: int) -> Disturbed:
    """Send everything to a pipeline that is killed by a plan."""
    pipeline = PipelineProcess(folder / f"seed-{seed}", *TIGHT, f"service::processes={processes}")
    pipeline.spawn()  # killed within its first migrations
    hand = Hand(pipeline, seed)
    hand.while_it_starts()
    client = PatientClient(pipeline, bodies)
    client.start()
    for kill in plan:
        client.reached(kill.after)
        hand.does(kill)
    client.reached(len(bodies))
    pipeline.settle(SETTLE_SECONDS)
    return Disturbed(pipeline, client.repeated)
