"""The state_delta detector on a run whose every second step carries a state of some thirty fields that grows."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from processors.spending.model_catalogue import PricedModels
from processors.state_delta import StateConfig, StateDelta
from schemas.canonical import canonical, state_hash
from schemas.step import AGENT, TOOL, Step

from . import Figure
from .folding import LENGTHS, folded

SECOND = 1_000_000_000
TRACE = "0af7651916cd43dd8448eb211c80319c"


def run() -> list[Figure]:
    """Measure the detector at every length."""
    steps = [_step(number) for number in range(max(LENGTHS))]
    subject = StateDelta(StateConfig(), PricedModels())
    return [figure for length in LENGTHS for figure in folded(subject, steps[:length])]


def _step(number: int) -> Step:
    start = 1_790_000_000 * SECOND + number * SECOND
    kind = AGENT if number % 2 else TOOL
    step = Step("default", TRACE, TRACE, f"{number:016x}", kind, start, start + SECOND // 2, agent="worker")
    if number % 2 == 0:
        return replace(step, tool="fetch_page", args=f'{{"page":{number}}}', result=f"page {number} read")
    held = _state(number)
    state = canonical(held).decode()
    return replace(step, state=state, state_hash=state_hash(held), state_size=len(state))


def _state(number: int) -> dict[str, Any]:
    fields: dict[str, Any] = {f"field_{index}": f"value {index}" for index in range(20)}
    return fields | {
        "step": number,
        "pages": [f"page-{page}" for page in range(max(0, number - 16), number)],
        "totals": {"read": number, "bytes": number * 900, "failed": number // 50},
        "status": "reading",
    }
