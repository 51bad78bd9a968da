"""What is remembered of a step until its run is over: a few numbers, the two ends of its text, and its figures.

Making a note is all that a step costs while its run goes on, so nothing here looks at a text more than once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from processors.detector import ModelCatalogue
from processors.spending.step_cost import believable_usage, cost_usd
from schemas.step import AGENT, HANDOFF, LLM, SpanRef, Step, called

NAME_CHARACTERS, ERROR_CHARACTERS, ID_CHARACTERS = 80, 160, 40
EXCERPT = 240
"""Characters kept of either end of a text."""
MOST_CALLS = 16
SCANNED, MOST_FIGURES, FIGURES_BYTES = 2_048, 96, 480
"""Characters of either end of a text in which figures are looked for; how many are, and what is kept of them."""
FIGURE_BYTES = bytes(byte if byte in b"0123456789" else 0x20 for byte in range(256))
"""Makes a text its runs of digits, apart from each other; `1,000` is read as `1000`."""
TAKES_REQUESTS = (AGENT, HANDOFF)
"""Kinds whose input is what somebody asks of somebody."""


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A step, as far as a diagnosis needs it. `trace_id` is empty where it is the run's id.

    `said` is the excerpt of what it brought (an answer, a result), `heard` of what was asked of it, where its kind
    is asked anything; `figures` and `given` are the numbers in what it brought and in what it was given. `calls` are
    the ids of the tool calls it asks for, `call_id` is the one it answers. `cost_usd` is None where nobody has a price.
    """

    start_ns: int
    end_ns: int
    span_id: str
    parent_id: str
    trace_id: str
    revision: int
    kind: str
    agent: str
    name: str
    retracted: bool = False
    is_root: bool = False
    error: str = ""
    said: str = ""
    said_size: int = 0
    heard: str = ""
    heard_size: int = 0
    figures: bytes = b""
    given: bytes = b""
    calls: Sequence[str] = ()
    call_id: str = ""
    to: str = ""
    unacknowledged: bool = False
    model: str = ""
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cost_usd: float | None = None

    @property
    def order(self) -> tuple[int, str]:
        """Place within the run."""
        return (self.start_ns, self.span_id)

    @property
    def duration_ns(self) -> int:
        """Time it took, never negative."""
        return max(0, self.end_ns - self.start_ns)

    def span(self, run_id: str) -> SpanRef:
        """Say where it is."""
        return SpanRef(self.trace_id or run_id, self.span_id)

    def without_texts(self) -> Note:
        """Give it without what it said and heard, for the middle of a long run."""
        if not (self.said or self.heard or self.figures or self.given):
            return self
        return msgspec.structs.replace(self, said="", heard="", figures=b"", given=b"")


def note_of(step: Step, models: ModelCatalogue) -> Note:
    """Make the note of a step."""
    usage = believable_usage(step) if step.usage is not None else None
    said, size = (step.output_text, step.output_size) if step.output_text else (step.result, step.result_size)
    return Note(
        step.start_ns,
        step.end_ns,
        step.span_id,
        step.parent_span_id,
        "" if step.trace_id == step.run_id else step.trace_id,
        step.revision,
        step.kind,
        step.agent,
        called(step)[:NAME_CHARACTERS],
        step.retracted,
        step.is_root,
        (step.error or step.error_type)[:ERROR_CHARACTERS],
        excerpt(said) if said else "",
        size,
        excerpt(step.input_text) if step.is_root or step.kind in TAKES_REQUESTS else "",
        step.input_size,
        figures_in(said) if said else b"",
        figures_in(step.input_text or step.args) if step.input_text or step.args else b"",
        tuple(call.id[:ID_CHARACTERS] for call in step.calls[:MOST_CALLS]),
        step.tool_call_id[:ID_CHARACTERS],
        step.transfer_to[:NAME_CHARACTERS],
        step.acknowledged is False,
        step.model[:NAME_CHARACTERS] if step.kind == LLM else "",
        usage.input if usage is not None else 0,
        usage.output if usage is not None else 0,
        usage.cache_read if usage is not None else 0,
        cost_usd(step, usage, models) if usage is not None or step.cost_usd is not None else None,
    )


def excerpt(text: str) -> str:
    """Keep the two ends of a text."""
    return text if len(text) <= 2 * EXCERPT else f"{text[:EXCERPT]} … {text[-EXCERPT:]}"


def figures_in(text: str) -> bytes:
    """List the different runs of digits at the two ends of a text, apart by spaces."""
    if len(text) > 2 * SCANNED:
        text = f"{text[:SCANNED]} {text[-SCANNED:]}"
    found = text.encode("ascii", "replace").translate(FIGURE_BYTES, b",").split()
    return b" ".join(dict.fromkeys(found[:MOST_FIGURES]))[:FIGURES_BYTES] if found else b""
