"""`run_summaries` records: what a run used, how it ended, and its diagnosis; one per run that ended.

A run that is told again (a verdict or a step that came late) has a higher `version`: readers keep the highest by run.
"""

from __future__ import annotations

import msgspec

from schemas.step import SpanRef

RUN_SUMMARY_SCHEMA = 1

COMPLETED = "completed"
FAILED = "failed"
GAVE_UP = "gave_up"
UNANSWERED = "unanswered"
OPEN_ENDED = "open_ended"
RUNNING = "running"
OUTCOMES = (COMPLETED, FAILED, GAVE_UP, UNANSWERED, OPEN_ENDED)
"""How a run ends: with an answer; with an error; with an answer that says it could not; with none where there had
been some; quietly, without its root ever ending. `running` is no end."""
FAILURES = (FAILED, GAVE_UP, UNANSWERED)


class UnknownSummarySchema(ValueError):  # noqa: N818  # named by what the reader should know
    """A record was written by a version this one does not know."""


class Found(msgspec.Struct, frozen=True):
    """A detection in its place in a diagnosis. `because` is the id of the one that explains it; empty for a cause."""

    id: str
    type: str
    title: str
    severity: str
    confidence: float
    agent: str
    spans: tuple[SpanRef, ...]
    at_ns: int
    because: str = ""


class Suspect(msgspec.Struct, frozen=True):
    """A step that may be at fault. `share` (0-1) is how much of the blame it has; `why` is in words, weightiest first.

    `agent` is empty where nobody ever said whose step it is.
    """

    span: SpanRef
    agent: str
    kind: str
    name: str
    at_ns: int
    share: float
    why: tuple[str, ...] = ()


class Diagnosis(msgspec.Struct, frozen=True):
    """What went wrong in a run. `found` are its detections in causal order, `suspects` the likeliest first.

    `blames` says whether anything went wrong that shows. Where nothing does, the suspects are where to look first if
    the result is wrong all the same. `primary` is the id of the detection that the others follow from, or empty;
    `title` names the failure in a few words; `text` is a paragraph for people.
    """

    blames: bool
    primary: str
    title: str
    text: str
    found: tuple[Found, ...] = ()
    suspects: tuple[Suspect, ...] = ()


class RunFigures(msgspec.Struct, frozen=True):
    """What a run was made of, and used. Times are nanoseconds; `cost_usd` counts the calls that have a price.

    `llm_ns` and `tool_ns` add up calls, also those that ran beside each other. `tools` counts calls by name.
    """

    steps: int = 0
    llm_calls: int = 0
    tool_calls: int = 0
    errors: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cost_usd: float = 0.0
    unpriced_calls: int = 0
    llm_ns: int = 0
    tool_ns: int = 0
    tools: dict[str, int] = {}
    agents: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


class RunSummary(msgspec.Struct, frozen=True):
    """One version of a run's summary. `agent` is the root's; `trace_id` that of the run's first span."""

    tenant: str
    run_id: str
    version: int
    trace_id: str
    service: str
    framework: str
    agent: str
    conversation_id: str
    started_ns: int
    ended_ns: int
    outcome: str
    figures: RunFigures
    diagnosis: Diagnosis
    v: int = RUN_SUMMARY_SCHEMA


_encoder = msgspec.msgpack.Encoder(order="deterministic")
_decoder = msgspec.msgpack.Decoder(RunSummary)


def encode_summary(summary: RunSummary) -> bytes:
    """Write a record's value: a msgpack map."""
    return _encoder.encode(summary)


def decode_summary(value: bytes) -> RunSummary:
    """Read a record's value; raises UnknownSummarySchema or msgspec.DecodeError for what is not ours."""
    summary = _decoder.decode(value)
    if summary.v != RUN_SUMMARY_SCHEMA:
        raise UnknownSummarySchema(f"run_summaries schema {summary.v}, this version reads {RUN_SUMMARY_SCHEMA}")
    return summary
