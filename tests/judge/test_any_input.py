"""Whatever stands in steps, answers and records: nothing raises but what is meant to, and bounds hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from courtroom import Courtroom
from escalated_runs import id_of, trace
from hypothesis import given, settings
from hypothesis import strategies as st
from judged_runs import finding_of, grey_run, steps_of, subject_of
from messages_server import MessagesServer

from collector.bus.protocol import Outgoing
from processors.judging.answers import VoidAnswerError, opinion_of
from processors.judging.exhibit import BYTES_PER_TOKEN, exhibit_of
from processors.judging.masking import Masking
from processors.judging.prompts import TOOL, request_of
from processors.runs.publishing import document_of
from schemas.topics import DEAD_LETTERS, ESCALATIONS, JUDGE_BUDGET, JUDGE_GRANTS

Court = Callable[..., Courtroom]
RUN = trace(2)
TEXTS = st.text(max_size=400)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(["answer", "confidence", "evidence", "reason"])
INPUTS = JSON | st.dictionaries(FIELDS, JSON | st.sampled_from(["yes", "no", 0.9, [{"id": "s1", "quote": "kind"}]]))


@settings(max_examples=150, deadline=None)
@given(TEXTS)
def test_any_text_can_be_masked_and_masking_it_again_changes_nothing(text: str) -> None:
    masked = Masking()(text)
    assert Masking()(masked) == masked


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=3_000), min_size=2, max_size=12), TEXTS, st.integers(200, 3_000))
def test_any_run_fits_the_budget_and_shows_what_crossed_the_line(results: list[str], task: str, tokens: int) -> None:
    steps = steps_of(RUN, results, task=task)
    document = document_of(subject_of(RUN), finding_of(RUN, len(results)), 1, 0, None)
    exhibit = exhibit_of(document, steps, tokens)
    assert exhibit is not None
    size = len(exhibit.claim.encode()) + sum(len(one.text.encode()) for one in exhibit.shown)
    assert size <= tokens * BYTES_PER_TOKEN
    assert request_of(exhibit, "m", 10, "low")["messages"]
    if tokens >= 1_000:
        assert steps[-1].span_id in [one.span_id for one in exhibit.shown]


@settings(max_examples=300, deadline=None)
@given(INPUTS)
def test_any_answer_either_counts_or_is_void(answer: Any) -> None:
    steps = steps_of(RUN, ["one", "two"])
    exhibit = exhibit_of(document_of(subject_of(RUN), finding_of(RUN, 2), 1, 0, None), steps, 4_000)
    assert exhibit is not None
    try:
        opinion = opinion_of("m", "tool_use", [{"type": "tool_use", "name": TOOL, "input": answer}], exhibit)
    except VoidAnswerError:
        return
    assert 0.0 <= opinion.failure <= 1.0
    assert opinion.quotes or opinion.answer == "unclear"


GARBAGE = (b"", b"\xc1", msgspec.msgpack.encode([1, {"id": "x"}]), msgspec.msgpack.encode([99, {}]), b"\x92\x01\xa1x")


@pytest.mark.parametrize("topic", [ESCALATIONS, JUDGE_GRANTS, JUDGE_BUDGET])
@pytest.mark.parametrize("value", GARBAGE)
def test_a_record_that_cannot_be_read_is_put_aside_and_the_next_one_judged(
    court: Court, api: MessagesServer, topic: str, value: bytes
) -> None:
    room = court()
    dead = room.bus.reader([DEAD_LETTERS])
    room.publish([Outgoing(topic, "acme", value), *grey_run(RUN)])
    room.settle()
    assert room.latest(id_of(RUN, finding_of(RUN, 2)))["tier"] == 4
    assert len(dead.poll(timeout_seconds=5.0).records) == 1
    dead.close()


def test_a_case_that_cannot_be_handled_is_given_up_by_itself(court: Court, api: MessagesServer) -> None:
    """Take a model's price away under a running judge: nothing can be set aside for it any more."""
    room = court()
    stage = room.judge.stage
    stage._hearings._config = room.config.model_copy(update={"models": ["nobody-knows-it"]})  # type: ignore[attr-defined]
    room.publish(grey_run(RUN))
    room.settle()
    judge = room.latest(id_of(RUN, finding_of(RUN, 2)))["evidence"]["judge"]
    assert (judge["ruling"], judge["why"]) == ("unjudged", "failed_UnpricedModelError")
    assert api.requests == []
