"""What goes wrong on many machines, one fault at a time, while a client sends; a seed says when and in which order."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from clickhouse_servers import ChdbServer
from faulty_link import FaultyLink
from kafka_broker import Broker, JavaBroker
from role_processes import ROLES, RoleProcesses

SESSION_SECONDS = 6.0
"""After how long without a word Kafka takes a member for dead."""
START_AGAIN_SECONDS = 60.0
SECOND = "processors#2"
WITH_CLOCK = Path(__file__).parent / "with_clock.py"


class World(NamedTuple):
    """All that can break: the roles' processes, the broker, the store, and the wire to it."""

    roles: RoleProcesses
    broker: JavaBroker | None
    store: ChdbServer
    link: FaultyLink
    away_seconds: float
    """How long what is away stays away."""


class Fault(NamedTuple):
    """A fault that happens once so many requests were acknowledged."""

    after: int
    what: str


def kill_of(role: str) -> Callable[[World], None]:
    """Make the fault that kills a role's process and starts it again."""

    def kill(world: World) -> None:
        world.roles.kill(role)
        start_again(world, role)

    return kill


def start_again(world: World, name: str, under: Sequence[str] = (), *settings: str) -> None:
    """Start a process, again where the lock of the one that was killed is still being let go of."""
    until = time.monotonic() + START_AGAIN_SECONDS
    while True:
        try:
            world.roles.spawn(name, under, *settings).wait_until_ready()
        except RuntimeError:
            if time.monotonic() > until:
                raise
            world.roles.processes[name].kill_if_running()
            time.sleep(0.5)
        else:
            return


def own_broker(world: World) -> JavaBroker:
    """Give the broker that was started here; `plan_of` leaves out what needs one where there is none."""
    if world.broker is None:
        raise RuntimeError("the broker is somebody else's")
    return world.broker


def broker_restarts(world: World) -> None:
    """Kill the broker, and start it a while later with what is on its disk."""
    broker = own_broker(world)
    broker.kill()
    time.sleep(min(2.0, world.away_seconds))
    broker.start()


def store_is_away(world: World) -> None:
    """Cut the sink off from the store for a while."""
    world.link.unplug()
    time.sleep(world.away_seconds)
    world.link.plug_in()


def store_is_killed(world: World) -> None:
    """Kill the store in the middle of what it is doing."""
    world.store.kill()
    world.store.start()


def store_is_slow(world: World) -> None:
    """Have every answer of the store come late, and lose a few after it did what was asked."""
    world.link.cut_answers = 2
    world.link.delay_seconds = 0.5
    time.sleep(world.away_seconds)
    world.link.delay_seconds = 0.0


def processor_joins_and_dies(world: World) -> None:
    """Add a second process for the processors, which takes over some of their work, and kill it."""
    start_again(world, SECOND)
    time.sleep(2.0)
    world.roles.kill(SECOND)
    del world.roles.processes[SECOND]


def processor_is_frozen(world: World) -> None:
    """Stop a process past its session, so that another takes its work over, and wake it: it must not write any more."""
    start_again(world, SECOND)
    process = world.roles.processes["processors"].process
    assert process is not None
    os.killpg(process.pid, signal.SIGSTOP)
    time.sleep(SESSION_SECONDS + 3.0)
    os.killpg(process.pid, signal.SIGCONT)
    time.sleep(2.0)
    world.roles.kill(SECOND)
    del world.roles.processes[SECOND]


def processor_is_cut_off(world: World) -> None:
    """Have a second process work, and let nothing pass between it and the broker for longer than its session."""
    broker = own_broker(world)
    start_again(world, SECOND, (), f"bus::kafka::brokers={broker.far}")
    broker.link.swallows = True
    time.sleep(SESSION_SECONDS + 3.0)
    broker.link.swallows = False
    time.sleep(2.0)
    world.roles.kill(SECOND)
    del world.roles.processes[SECOND]


def clock_is_set_back(world: World) -> None:
    """Have the normaliser and the processors go on under a clock that is an hour behind."""
    for role in ("normaliser", "processors"):
        world.roles.kill(role)
        start_again(world, role, (sys.executable, str(WITH_CLOCK), "-3600"))


FAULTS: dict[str, Callable[[World], None]] = {
    **{f"kill {role}": kill_of(role) for role in ROLES},
    "broker restarts": broker_restarts,
    "store is away": store_is_away,
    "store is killed": store_is_killed,
    "store is slow": store_is_slow,
    "a processor joins and dies": processor_joins_and_dies,
    "a processor is frozen": processor_is_frozen,
    "a processor is cut off": processor_is_cut_off,
    "the clock is set back": clock_is_set_back,
}


NEED_OWN_BROKER = frozenset({"broker restarts", "a processor is cut off"})


def possible(broker: Broker) -> list[str]:
    """List the faults that can happen on a broker: one that somebody else runs is neither killed nor cut off."""
    return sorted(FAULTS.keys() - (frozenset() if isinstance(broker, JavaBroker) else NEED_OWN_BROKER))


def plan_of(seed: int, requests: int, kinds: Sequence[str], faults: int = 0) -> list[Fault]:
    """Place the faults of a seed, so many or each once: each comes round before one comes again."""
    chance = Random(seed)  # noqa: S311  # no secret
    kinds, faults = list(kinds), faults or len(kinds)
    chance.shuffle(kinds)
    places = sorted(chance.sample(range(1, requests), faults))
    return [Fault(place, kinds[number % len(kinds)]) for number, place in enumerate(places)]


def as_networks_do(bodies: list[bytes], seed: int) -> list[bytes]:
    """Send requests out of order, and some of them twice, as clients do that never heard the answer."""
    chance = Random(seed)  # noqa: S311  # no secret
    sent = [body for body in bodies for _ in range(2 if chance.random() < 0.2 else 1)]
    places = sorted(range(len(sent)), key=lambda at: at + chance.uniform(0, 6))
    return [sent[at] for at in places]
