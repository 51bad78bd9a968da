"""The run tracker: what following a step costs, and what it takes to sum a run up."""

from __future__ import annotations

import time

from collector.bus.protocol import Batch, Record
from processors.run_tracker import RunTracker
from processors.spending.model_catalogue import PricedModels
from schemas.step import LLM, TOOL, Step, ToolCall, Usage
from schemas.steps_codec import encode_steps
from schemas.topics import AGENT_STEPS

from . import Figure
from .committed_state import CommittedState

STEPS, A_BATCH, ENDINGS = 60_000, 500, 40
SECOND = 10**9
MIB = 1 << 20
TEXT = "The search for flights to Lisbon on 2026-11-20 found nothing; order {} of user 8150 stays open. "
RUN = "ab" * 16


class _RememberedState(CommittedState):
    """A state that is scanned, for runs that are put together."""

    def scan(self, store: str, prefix: str = "") -> list[tuple[str, bytes]]:
        """Read all keys that begin with a prefix, in key order."""
        held = self._stores.get(store, {})
        return [(key, held[key]) for key in sorted(held) if key.startswith(prefix)]


def run() -> list[Figure]:
    """Measure steps of 1 kB, many runs mixed and one long run, and the end of runs of 400 steps."""
    figures = []
    for runs, what in ((400, "400 runs mixed"), (1, "one run")):
        rate, kept = _followed(runs)
        figures += [
            (f"run tracker, steps of 1 kB followed, {what}", rate, "steps/CPU-s"),
            (f"run tracker, committed per step, {what}", kept, "bytes"),
        ]
    return [*figures, ("run tracker, a run of 400 steps summed up and diagnosed", _summed_up(), "ms")]


def _tracker() -> RunTracker:
    return RunTracker(PricedModels({}), 32 * MIB)


def _step(run: str, number: int) -> Step:
    fields = {"tenant": "t", "run_id": run, "trace_id": run, "span_id": f"{number:016x}", "agent": "researcher"}
    times = {"start_ns": number * SECOND, "end_ns": number * SECOND + 5}
    text = TEXT.format(number) * 8
    if number % 2:
        call = ToolCall(f"c{number}", "search", '{"q":"Lisbon"}', "x")
        said = {"output_text": text, "output_size": len(text), "model": "gpt-4o-mini", "provider": "openai"}
        return Step(kind=LLM, calls=(call,), usage=Usage(800, 90), **said, **fields, **times)  # type: ignore[arg-type]
    result = {"result": text, "result_size": len(text), "tool": "search", "tool_call_id": f"c{number - 1}"}
    return Step(kind=TOOL, args='{"q":"Lisbon"}', **result, **fields, **times)  # type: ignore[arg-type]


def _followed(runs: int) -> tuple[float, float]:
    tracker, state = _tracker(), _RememberedState()
    tracker.restore(state)
    written = 0
    names = [f"{number:032x}" for number in range(runs)]
    values = [(names[n % runs], encode_steps([_step(names[n % runs], n // runs)])) for n in range(STEPS)]
    records = [Record(AGENT_STEPS, 0, n, f"t/{run}", value, {}, n) for n, (run, value) in enumerate(values)]
    spent = 0.0
    for at in range(0, STEPS, A_BATCH):
        began = time.process_time()
        changes = tracker.handle(Batch(records[at : at + A_BATCH], at), state).changes
        spent += time.process_time() - began
        written += sum(len(change.value or b"") for change in changes)
        state.apply(changes)
    return STEPS / spent, written / STEPS


def _summed_up() -> float:
    from processors.diagnosing.case import new_case
    from processors.diagnosing.notes import note_of
    from processors.diagnosing.summing import summary_of
    from processors.runs.state import Facts

    models = PricedModels({})
    notes = [note_of(_step(RUN, number), models) for number in range(1, 401)]
    began = time.process_time()
    for _ in range(ENDINGS):
        case = new_case()
        case.take(notes, 1_064)
        summary_of("t", RUN, Facts(), case, ())
    return (time.process_time() - began) / ENDINGS * 1_000
