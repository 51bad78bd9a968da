"""A flood of ten times what is worked through and more: what was offered, taken and refused, and the memory.

`python tests/faults/flood.py --seconds 60 --limit-mib 1400` is the long form; it prints a summary and exits with 1
where something is not as it is to be. `--transport grpc`, `--unlike` (4 MB a request, nothing in it alike) and
`--two-tenants` (one floods, the other sends a little at a steady pace) are its variants.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[1] / "driving"), str(Path(__file__).parents[2])]

from flood_sender import OK, Order, Tally
from pipeline_process import PipelineProcess

from collector.receivers.api_keys import hash_of, new_key

SENDERS = 4
TIMES = 10
"""How many times as much as the pipeline works through has to be offered, or nothing is shown."""
SAMPLE_SECONDS = 0.1
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
MIB = 1 << 20
CALM_SECONDS = 10.0
"""How long after the last record was read the memory is looked at again."""
FLOODS, MODEST = "floods", "modest"
KEYS = {tenant: new_key() for tenant in (FLOODS, MODEST)}
TENANTS = "extensions::api_keys::keys=" + json.dumps(
    [{"tenant": tenant, "hash": hash_of(key)} for tenant, key in KEYS.items()]
)
MODEST_SPANS, MODEST_PACE = 50, 0.5


class Flood:
    """A flood against one pipeline; `tallies` by sender, `peak_bytes` of all processes together."""

    def __init__(self, pipeline: PipelineProcess, orders: Sequence[Order]) -> None:
        self._pipeline = pipeline
        self._orders = orders
        self.tallies: list[Tally] = []
        self.peak_bytes = 0
        self.at_peak: dict[str, int] = {}
        self.seconds = 0.0
        """How long it went on."""
        self._over = threading.Event()

    def run(self) -> None:
        """Send until the time is over, watching the memory until `stop_watching`."""
        threading.Thread(target=self._watch, daemon=True).start()
        begun = time.monotonic()
        senders = [subprocess.Popen(_command(order), stdout=subprocess.PIPE) for order in self._orders]
        self.tallies = [Tally(**json.loads(sender.communicate()[0])) for sender in senders]
        self.seconds = time.monotonic() - begun

    def stop_watching(self) -> None:
        """Look at the memory no more."""
        self._over.set()

    @property
    def answers(self) -> Counter[str]:
        """Count all answers."""
        return sum((Counter(tally.answers) for tally in self.tallies), Counter())

    @property
    def offered_spans(self) -> int:
        """Count all spans that were sent, also those that were refused."""
        return sum(tally.offered_spans for tally in self.tallies)

    def factor(self, drained_seconds: float) -> float:
        """Say how many times as much was offered a second as was worked through, to the last span in the store.

        `drained_seconds`: how long it took for what was taken once nothing came any more.
        """
        worked = self.accepted_spans / (self.seconds + drained_seconds)
        return self.offered_spans / self.seconds / worked if worked else 0.0

    @property
    def accepted_spans(self) -> int:
        """Count all spans that were taken."""
        return sum(tally.accepted_spans for tally in self.tallies)

    @property
    def without_delay(self) -> int:
        """Count the refusals that did not say when to come again."""
        return sum(tally.without_delay for tally in self.tallies)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            held = held_bytes(self._pipeline)
            if sum(held.values()) > self.peak_bytes:
                self.peak_bytes = sum(held.values())
                self.at_peak = {name: size // MIB for name, size in held.items()}


def orders(pipeline: PipelineProcess, seconds: float, transport: str = "http", unlike: bool = False) -> list[Order]:
    """Order a flood from several senders."""
    door = (pipeline.info() or {})[transport]
    size = 4_000 if unlike else 1_200
    return [Order(door, seconds, number, transport, unlike=unlike, span_bytes=size) for number in range(SENDERS)]


def of_two_tenants(pipeline: PipelineProcess, seconds: float, transport: str = "http") -> list[Order]:
    """Order a flood of one tenant, and of another one a little at a steady pace, which is the last order."""
    flooding = orders(pipeline, seconds, transport)
    for order in flooding:
        order.key = KEYS[FLOODS]
    door = (pipeline.info() or {})[transport]
    pace = Order(door, seconds, SENDERS, transport, KEYS[MODEST], MODEST_SPANS, 1_000, unlike=True, pace=MODEST_PACE)
    return [*flooding, pace]


def held_bytes(pipeline: PipelineProcess) -> dict[str, int]:
    """Read what each process of a pipeline holds."""
    info = pipeline.info() or {}
    pids = {"doors": info.get("pid", 0), **dict(info.get("processes", {}))}
    return {name: _resident(pid) for name, pid in pids.items()}


def _resident(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return 0


def _command(order: Order) -> list[str]:
    return [sys.executable, str(Path(__file__).with_name("flood_sender.py")), json.dumps(asdict(order))]


def main() -> int:
    """Flood a pipeline and print what came of it."""
    options = _options()
    settings = [f"service::memory_limit_mib={options.limit_mib}", f"bus::embedded::max_bytes={options.bus_mib * MIB}"]
    settings += [TENANTS] if options.two_tenants else []
    with tempfile.TemporaryDirectory() as folder:
        pipeline = PipelineProcess(Path(folder) / "data", *settings).start()
        try:
            before = sum(held_bytes(pipeline).values())
            if options.two_tenants:
                ordered = of_two_tenants(pipeline, options.seconds, options.transport)
            else:
                ordered = orders(pipeline, options.seconds, options.transport, options.unlike)
            flood = Flood(pipeline, ordered)
            flood.run()
            begun = time.monotonic()
            pipeline.settle(1_800)
            drained = time.monotonic() - begun
            flood.stop_watching()
            stored = pipeline.query("SELECT count(), uniqExact(TraceId, SpanId) FROM otel_traces").split("\t")
            time.sleep(CALM_SECONDS)
            after = sum(held_bytes(pipeline).values())
        finally:
            pipeline.kill_if_running()
    peak = flood.peak_bytes
    print(f"memory before {before // MIB}, peak {peak // MIB}, afterwards {after // MIB} of {options.limit_mib} MiB")
    print(f"answers {dict(flood.answers)}, refusals without a delay {flood.without_delay}")
    print(f"accepted {flood.accepted_spans} spans, stored {stored[0]}, distinct {stored[1]}")
    print(f"drained in {drained:.0f} s; at the peak each process had {flood.at_peak} MiB")
    if options.two_tenants:
        print_waits(flood.tallies[-1])
    factor = flood.factor(drained)
    worked = flood.accepted_spans / (flood.seconds + drained)
    print(f"spans a second: offered {flood.offered_spans / flood.seconds:,.0f}, taken", end=" ")
    print(f"{flood.accepted_spans / flood.seconds:,.0f}, worked through {worked:,.0f}: {factor:.1f} times as much came")
    whole = [str(flood.accepted_spans)] * 2 == stored
    too_little = factor < TIMES and not options.unlike  # writing what nothing is alike in costs the sender too much
    return int(peak > options.limit_mib * MIB or not whole or bool(flood.without_delay) or too_little)


def print_waits(tally: Tally) -> None:
    """Print how long the one who did not flood waited."""
    waits = sorted(tally.waits)
    quantiles = ", ".join(f"{name} {waits[int(share * (len(waits) - 1))]:.3f} s" for name, share in QUANTILES)
    refused = sum(count for code, count in tally.answers.items() if code not in OK)
    print(f"at a pace: {len(waits)} requests, all taken, {refused} refusals; first try to acceptance {quantiles}")


QUANTILES = (("median", 0.5), ("p99", 0.99), ("longest", 1.0))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python tests/faults/flood.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--limit-mib", type=int, default=1400)
    parser.add_argument("--bus-mib", type=int, default=256, help="what may be unread (bus::embedded::max_bytes)")
    parser.add_argument("--transport", choices=("http", "grpc"), default="http")
    parser.add_argument("--unlike", action="store_true", help="4 MB a request, nothing in it alike")
    parser.add_argument("--two-tenants", action="store_true", help="one floods, one sends a little at a steady pace")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
